// Reads objects of Prometheus Operator from standard input, JSON one after the other, and says which fields its own types don't
// know. Checks nothing else.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
)

func main() {
	objects := json.NewDecoder(os.Stdin)
	for {
		var object json.RawMessage
		if err := objects.Decode(&object); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			fail(err)
		}
		if err := check(object); err != nil {
			fail(err)
		}
	}
}

func check(object json.RawMessage) error {
	var named struct{ Kind string }
	if err := json.Unmarshal(object, &named); err != nil {
		return err
	}
	kinds := map[string]any{
		"ServiceMonitor": &monitoring.ServiceMonitor{},
		"PodMonitor":     &monitoring.PodMonitor{},
		"PrometheusRule": &monitoring.PrometheusRule{},
	}
	known, is := kinds[named.Kind]
	if !is {
		return fmt.Errorf("%q is no kind of Prometheus Operator", named.Kind)
	}
	strict := json.NewDecoder(strings.NewReader(string(object)))
	strict.DisallowUnknownFields()
	if err := strict.Decode(known); err != nil {
		return fmt.Errorf("%s: %w", named.Kind, err)
	}
	return nil
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
