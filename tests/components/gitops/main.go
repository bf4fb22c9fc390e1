// Gitops says what GitOps tools make of our resources, by the tools' own code. It reads objects of a cluster from its
// standard input and prints JSON. It talks to no server and decides nothing itself.
//
//	gitops verdicts ARGOCD_CM FLUX_KUSTOMIZATION   a list of objects: one line each, with everybody's verdict
//	gitops actions ARGOCD_CM                       an object: the actions that Argo CD offers
//	gitops act ARGOCD_CM NAME                      an object: the merge patch that Argo CD sends for an action
//	gitops decode                                  manifests of Flux: read strictly into Flux' own types
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "gitops:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	input, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	switch {
	case len(arguments) == 3 && arguments[0] == "verdicts":
		return verdicts(arguments[1], arguments[2], input)
	case len(arguments) == 2 && arguments[0] == "actions":
		return actions(arguments[1], input)
	case len(arguments) == 3 && arguments[0] == "act":
		return act(arguments[1], arguments[2], input)
	case len(arguments) == 1 && arguments[0] == "decode":
		return decodeFlux(input)
	default:
		return fmt.Errorf("see the head of main.go for how this is called")
	}
}

type verdict struct {
	Status  string `json:"status"`
	Message string `json:"message,omitempty"`
}

type judged struct {
	Kind    string  `json:"kind"`
	Name    string  `json:"name"`
	ArgoCD  verdict `json:"argocd"`
	Flux    verdict `json:"flux"`
	Kstatus verdict `json:"kstatus"`
}

func verdicts(configMap, kustomization string, input []byte) error {
	argocd, err := readConfigMap(configMap)
	if err != nil {
		return err
	}
	flux, err := readHealthChecks(kustomization)
	if err != nil {
		return err
	}
	list := &unstructured.UnstructuredList{}
	if err := list.UnmarshalJSON(input); err != nil {
		return err
	}
	for index := range list.Items {
		object := &list.Items[index]
		line := judged{Kind: object.GetKind(), Name: object.GetName(), ArgoCD: argocd.health(object), Flux: flux.health(object)}
		if result, err := status.Compute(object); err != nil {
			line.Kstatus = verdict{status.UnknownStatus.String(), err.Error()}
		} else {
			line.Kstatus = verdict{result.Status.String(), result.Message}
		}
		if err := show(line); err != nil {
			return err
		}
	}
	return nil
}

func actions(configMap string, input []byte) error {
	argocd, object, err := configured(configMap, input)
	if err != nil {
		return err
	}
	offered, err := argocd.actions(object)
	if err != nil {
		return err
	}
	return show(offered)
}

func act(configMap, name string, input []byte) error {
	argocd, object, err := configured(configMap, input)
	if err != nil {
		return err
	}
	patch, err := argocd.act(object, name)
	if err != nil {
		return err
	}
	return show(json.RawMessage(patch))
}

func configured(configMap string, input []byte) (*argoCD, *unstructured.Unstructured, error) {
	argocd, err := readConfigMap(configMap)
	if err != nil {
		return nil, nil, err
	}
	object := &unstructured.Unstructured{}
	return argocd, object, object.UnmarshalJSON(input)
}

func show(value any) error {
	return json.NewEncoder(os.Stdout).Encode(value)
}
