package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	helmv2 "github.com/fluxcd/helm-controller/api/v2"
	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/runtime/cel"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	strict "sigs.k8s.io/yaml"
)

// The checks that a Kustomization names, by kind.
type healthChecks map[schema.GroupKind]*cel.StatusEvaluator

func readHealthChecks(path string) (healthChecks, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var kustomization kustomizev1.Kustomization
	if err := strict.UnmarshalStrict(text, &kustomization); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	checks := healthChecks{}
	for _, check := range kustomization.Spec.HealthCheckExprs {
		evaluator, err := cel.NewStatusEvaluator(&check.HealthCheckExpressions)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", path, check.Kind, err)
		}
		checks[schema.FromAPIVersionAndKind(check.APIVersion, check.Kind).GroupKind()] = evaluator
	}
	return checks, nil
}

// An expression that fails leaves the status unknown: Flux asks again until its timeout.
func (checks healthChecks) health(object *unstructured.Unstructured) verdict {
	evaluator, ok := checks[object.GroupVersionKind().GroupKind()]
	if !ok {
		return verdict{status.UnknownStatus.String(), "there is no expression"}
	}
	result, err := evaluator.Evaluate(context.Background(), object)
	if err != nil {
		return verdict{status.UnknownStatus.String(), err.Error()}
	}
	return verdict{result.Status.String(), result.Message}
}

// Reads each document strictly into the type of its kind; others than Flux' are an error.
func decodeFlux(input []byte) error {
	documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(input)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := decodeOne(document); err != nil {
			return err
		}
	}
}

func decodeOne(document []byte) error {
	var head struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
	}
	if err := strict.Unmarshal(document, &head); err != nil {
		return err
	}
	types := map[string]any{
		kustomizev1.GroupVersion.String() + "/Kustomization": &kustomizev1.Kustomization{},
		sourcev1.GroupVersion.String() + "/GitRepository":    &sourcev1.GitRepository{},
		sourcev1.GroupVersion.String() + "/OCIRepository":    &sourcev1.OCIRepository{},
		sourcev1.GroupVersion.String() + "/HelmRepository":   &sourcev1.HelmRepository{},
		helmv2.GroupVersion.String() + "/HelmRelease":        &helmv2.HelmRelease{},
	}
	kind := head.APIVersion + "/" + head.Kind
	into, ok := types[kind]
	if !ok {
		return fmt.Errorf("%s is no kind of Flux'", kind)
	}
	if err := strict.UnmarshalStrict(document, into); err != nil {
		return fmt.Errorf("%s: %w", kind, err)
	}
	fmt.Println(kind)
	return nil
}
