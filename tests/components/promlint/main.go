// Promlint reads a scrape from its standard input and prints one line for each thing that is wrong with it. With the
// argument "text" it is what "promtool check metrics" says (the same linter; promtool itself takes nine minutes of
// processor time to build, for its service discoveries), with "openmetrics" what Prometheus' own parser of that format
// says.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "promlint text|openmetrics")
		os.Exit(64)
	}
	var found []string
	var err error
	switch os.Args[1] {
	case "text":
		found, err = text(os.Stdin)
	case "openmetrics":
		found, err = openMetrics(os.Stdin)
	default:
		err = fmt.Errorf("no such format: %s", os.Args[1])
	}
	if err != nil {
		found = append(found, err.Error())
	}
	for _, line := range found {
		fmt.Println(line)
	}
	if len(found) > 0 {
		os.Exit(1)
	}
}

func text(scrape io.Reader) ([]string, error) {
	problems, err := promlint.New(scrape).Lint()
	var found []string
	for _, problem := range problems {
		found = append(found, fmt.Sprintf("%s %s", problem.Metric, problem.Text))
	}
	return found, err
}

// Each family is described before its first series, and once.
func openMetrics(scrape io.Reader) ([]string, error) {
	body, err := io.ReadAll(scrape)
	if err != nil {
		return nil, err
	}
	parser := textparse.NewOpenMetricsParser(body, labels.NewSymbolTable())
	types := map[string]bool{}
	var found []string
	for {
		entry, err := parser.Next()
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return found, err
		}
		if entry == textparse.EntryType {
			name, _ := parser.Type()
			if types[string(name)] {
				found = append(found, fmt.Sprintf("%s is described twice", name))
			}
			types[string(name)] = true
		}
	}
}
