package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	jsonpatch "github.com/evanphx/json-patch/v5"
	lua "github.com/yuin/gopher-lua"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	luajson "layeh.com/gopher-json"
	"sigs.k8s.io/yaml"
)

// How long Argo CD lets a script run.
const patience = time.Second

// What Argo CD is told about our kinds, by its ConfigMap.
type argoCD struct {
	settings map[string]string
}

// The value of resource.customizations.actions.GROUP_KIND.
type customActions struct {
	Discovery   string `json:"discovery.lua"`
	Definitions []struct {
		Name   string `json:"name"`
		Action string `json:"action.lua"`
	} `json:"definitions"`
}

type action struct {
	Name        string `json:"name"`
	Disabled    bool   `json:"disabled"`
	DisplayName string `json:"displayName"`
	IconClass   string `json:"iconClass"`
}

func readConfigMap(path string) (*argoCD, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var configMap corev1.ConfigMap
	if err := yaml.UnmarshalStrict(text, &configMap); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &argoCD{configMap.Data}, nil
}

func (argocd *argoCD) setting(about string, object *unstructured.Unstructured) string {
	gvk := object.GroupVersionKind()
	return argocd.settings[fmt.Sprintf("resource.customizations.%s.%s_%s", about, gvk.Group, gvk.Kind)]
}

// Argo CD asks the script about nothing that is being deleted. Without a script whatever has no check of Argo CD's own is
// taken for healthy; here that is an error.
func (argocd *argoCD) health(object *unstructured.Unstructured) verdict {
	if object.GetDeletionTimestamp() != nil {
		return verdict{"Progressing", "Pending deletion"}
	}
	script := argocd.setting("health", object)
	if script == "" {
		return verdict{"Unknown", "there is no script"}
	}
	answer, err := runScript(script, object)
	if err != nil {
		return verdict{"Unknown", err.Error()}
	}
	var found verdict
	if err := json.Unmarshal(answer, &found); err != nil {
		return verdict{"Unknown", err.Error()}
	}
	return found
}

func (argocd *argoCD) custom(object *unstructured.Unstructured) (customActions, error) {
	var custom customActions
	err := yaml.UnmarshalStrict([]byte(argocd.setting("actions", object)), &custom)
	return custom, err
}

func (argocd *argoCD) actions(object *unstructured.Unstructured) ([]action, error) {
	custom, err := argocd.custom(object)
	if err != nil {
		return nil, err
	}
	answer, err := runScript(custom.Discovery, object)
	if err != nil {
		return nil, err
	}
	byName := map[string]action{}
	if err := json.Unmarshal(answer, &byName); err != nil {
		return nil, err
	}
	offered := []action{}
	// What is discovered and defined is offered, in the order of the definitions.
	for _, definition := range custom.Definitions {
		found, ok := byName[definition.Name]
		if !ok {
			return nil, fmt.Errorf("%s is defined and never discovered", definition.Name)
		}
		delete(byName, definition.Name)
		found.Name = definition.Name
		offered = append(offered, found)
	}
	if len(byName) > 0 {
		return nil, fmt.Errorf("discovered without a definition: %v", byName)
	}
	return offered, nil
}

func (argocd *argoCD) act(object *unstructured.Unstructured, name string) ([]byte, error) {
	custom, err := argocd.custom(object)
	if err != nil {
		return nil, err
	}
	for _, definition := range custom.Definitions {
		if definition.Name != name {
			continue
		}
		answer, err := runScript(definition.Action, object)
		if err != nil {
			return nil, err
		}
		changed := map[string]any{}
		if err := json.Unmarshal(answer, &changed); err != nil {
			return nil, err
		}
		keepEmpty(changed, object.Object)
		return mergePatch(object.Object, changed)
	}
	return nil, fmt.Errorf("there is no action %s", name)
}

// Lua knows no difference between an empty object and an empty list, and the encoder takes both for lists: what was an
// empty object stays one.
func keepEmpty(changed, before map[string]any) {
	for key, was := range before {
		switch was := was.(type) {
		case map[string]any:
			if list, isList := changed[key].([]any); isList && len(list) == 0 {
				changed[key] = map[string]any{}
			} else if now, isObject := changed[key].(map[string]any); isObject {
				keepEmpty(now, was)
			}
		case []any:
			now, _ := changed[key].([]any)
			for index := range min(len(was), len(now)) {
				before, wasObject := was[index].(map[string]any)
				changed, isObject := now[index].(map[string]any)
				if wasObject && isObject {
					keepEmpty(changed, before)
				}
			}
		}
	}
}

func mergePatch(before, after map[string]any) ([]byte, error) {
	original, err := json.Marshal(before)
	if err != nil {
		return nil, err
	}
	modified, err := json.Marshal(after)
	if err != nil {
		return nil, err
	}
	return jsonpatch.CreateMergePatch(original, modified)
}

// Runs a script with the libraries that Argo CD gives to scripts of its ConfigMap, and no others: base, table, package and,
// for who requires it, a part of os. Gives back what it returned, as JSON.
func runScript(script string, object *unstructured.Unstructured) ([]byte, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	libraries := []struct {
		name string
		open lua.LGFunction
	}{{lua.LoadLibName, lua.OpenPackage}, {lua.BaseLibName, lua.OpenBase}, {lua.TabLibName, lua.OpenTable}}
	for _, library := range libraries {
		opened := lua.P{Fn: state.NewFunction(library.open), NRet: 0, Protect: true}
		if err := state.CallByParam(opened, lua.LString(library.name)); err != nil {
			return nil, err
		}
	}
	state.PreloadModule(lua.OsLibName, func(state *lua.LState) int {
		state.Push(state.SetFuncs(state.NewTable(), safeOs()))
		return 1
	})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	state.SetContext(ctx)
	state.SetGlobal("actionParams", state.NewTable())
	state.SetGlobal("obj", toLua(state, object.Object))
	if err := state.DoString(script); err != nil {
		return nil, err
	}
	returned := state.Get(-1)
	if returned.Type() != lua.LTTable {
		return nil, errors.New("the script returned no table but a " + returned.Type().String())
	}
	return luajson.Encode(returned)
}

// Of os what tells the time.
func safeOs() map[string]lua.LGFunction {
	whole := lua.NewState()
	defer whole.Close()
	safe := map[string]lua.LGFunction{}
	for _, name := range []string{"time", "date"} {
		safe[name] = whole.GetField(whole.GetGlobal(lua.OsLibName), name).(*lua.LFunction).GFunction
	}
	return safe
}

func toLua(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case bool:
		return lua.LBool(value)
	case string:
		return lua.LString(value)
	case int64:
		return lua.LNumber(value)
	case float64:
		return lua.LNumber(value)
	case []any:
		list := state.CreateTable(len(value), 0)
		for _, item := range value {
			list.Append(toLua(state, item))
		}
		return list
	case map[string]any:
		table := state.CreateTable(0, len(value))
		for key, item := range value {
			table.RawSetString(key, toLua(state, item))
		}
		return table
	default:
		return lua.LNil
	}
}
