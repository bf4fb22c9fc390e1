{{/* Names, labels, the image, and what is refused because values contradict each other. */}}

{{- define "kratos-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* At most 40 characters: names of shards are added. */}}
{{- define "kratos-operator.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* What is in the cluster, and not in a namespace: its name must not be that of another release's. */}}
{{- define "kratos-operator.clusterName" -}}
{{- $fullname := include "kratos-operator.fullname" . }}
{{- if eq $fullname .Release.Namespace }}{{ $fullname }}{{ else }}{{ printf "%s-%s" .Release.Namespace $fullname }}{{ end }}
{{- end }}

{{- define "kratos-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "kratos-operator.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name: name the service account that is there, or set serviceAccount.create to true" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "kratos-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "kratos-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* The chart's own labels win: selectors are made of them. */}}
{{- define "kratos-operator.labels" -}}
{{- $own := include "kratos-operator.selectorLabels" . | fromYaml }}
{{- $own = merge $own (dict
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
  "app.kubernetes.io/version" (.Chart.AppVersion | replace "+" "_" | trunc 63)
  "app.kubernetes.io/part-of" "kratos-operator"
  "app.kubernetes.io/managed-by" .Release.Service) }}
{{- toYaml (merge $own .Values.commonLabels) }}
{{- end }}

{{/* registry/repository:tag@digest */}}
{{- define "kratos-operator.image" -}}
{{- $registry := default .Values.image.registry (.Values.global).imageRegistry }}
{{- $image := printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- if $registry }}{{ $image = printf "%s/%s" (trimSuffix "/" $registry) $image }}{{ end }}
{{- if .Values.image.digest }}{{ $image = printf "%s@%s" $image .Values.image.digest }}{{ end }}
{{- $image }}
{{- end }}

{{/* Names and objects with a name are both common. */}}
{{- define "kratos-operator.imagePullSecrets" -}}
{{- $names := list }}
{{- range concat (default list (.Values.global).imagePullSecrets) .Values.imagePullSecrets }}
{{- $names = append $names (kindIs "string" . | ternary . (get (kindIs "string" . | ternary dict .) "name")) }}
{{- end }}
{{- range uniq $names }}
- name: {{ . }}
{{- end }}
{{- end }}

{{/* "true" where the operator works in the whole cluster. */}}
{{- define "kratos-operator.isClusterWide" -}}
{{- if not .Values.namespaces }}true{{ end }}
{{- end }}

{{/* A value that is true, false or auto; auto: where the operator works in the whole cluster. */}}
{{- define "kratos-operator.isWanted" -}}
{{- if eq (toString .value) "auto" }}{{ include "kratos-operator.isClusterWide" .root }}{{ else if .value }}true{{ end }}
{{- end }}

{{/* The namespaces in which instances count, as the operator itself reckons. A list, as JSON. */}}
{{- define "kratos-operator.instanceNamespaces" -}}
{{- $names := .Values.instanceNamespaces }}
{{- if not $names }}
{{- $names = list }}
{{- if or (not .Values.namespaces) (has .Release.Namespace .Values.namespaces) }}{{ $names = append $names .Release.Namespace }}{{ end }}
{{- if .Values.defaultInstance }}{{ $names = append $names (splitList "/" .Values.defaultInstance | first) }}{{ end }}
{{- end }}
{{- $names | uniq | sortAlpha | toJson }}
{{- end }}

{{/* At least two replicas, or as many as an autoscaler wants. */}}
{{- define "kratos-operator.isReplicated" -}}
{{- if kindIs "invalid" .Values.replicas }}true{{ else if gt (int .Values.replicas) 1 }}true{{ end }}
{{- end }}

{{/* The operators, each with a part of the resources: a list of {name, selector}, as JSON. Without shards one, without either. */}}
{{- define "kratos-operator.operators" -}}
{{- if .Values.shards }}
{{- $fullname := include "kratos-operator.fullname" . }}
{{- $operators := list }}
{{- range .Values.shards }}
{{- $operators = append $operators (dict "name" (printf "%s-%s" $fullname .name) "shard" .name "selector" .selector) }}
{{- end }}
{{- toJson $operators }}
{{- else }}
{{- list (dict "name" (include "kratos-operator.fullname" .)) | toJson }}
{{- end }}
{{- end }}

{{/* A label selector, in the words of `kubectl get -l`. */}}
{{- define "kratos-operator.selectorText" -}}
{{- $parts := list }}
{{- range $key, $value := .matchLabels }}{{ $parts = append $parts (printf "%s=%s" $key $value) }}{{ end }}
{{- range .matchExpressions }}
{{- if eq .operator "Exists" }}{{ $parts = append $parts .key }}
{{- else if eq .operator "DoesNotExist" }}{{ $parts = append $parts (printf "!%s" .key) }}
{{- else }}{{ $parts = append $parts (printf "%s %s (%s)" .key (lower .operator) (join "," .values)) }}
{{- end }}
{{- end }}
{{- join "," $parts }}
{{- end }}

{{/* What a schema can't say. Each message begins with the value's name. */}}
{{- define "kratos-operator.check" -}}
{{- if and .Values.namespaces (not .Values.clusterID) (not (has "kube-system" .Values.namespaces)) }}
{{- fail "clusterID: needed with namespaces, since the operator may not look it up; it is what `kubectl get namespace kube-system -o jsonpath={.metadata.uid}` prints" }}
{{- end }}
{{- if and .Values.namespaces (not (include "kratos-operator.instanceNamespaces" . | fromJsonArray)) }}
{{- fail "instanceNamespaces: no KratosInstance counts, since the release's namespace isn't among namespaces; name those that have one" }}
{{- end }}
{{- range (include "kratos-operator.instanceNamespaces" . | fromJsonArray) }}
{{- if and $.Values.namespaces (not (has . $.Values.namespaces)) }}
{{- fail (printf "namespaces: %s isn't among them, which instanceNamespaces or defaultInstance names" .) }}
{{- end }}
{{- end }}
{{- if and (include "kratos-operator.isReplicated" .) (not .Values.leaderElection.enabled) }}
{{- fail "leaderElection.enabled: with more than one replica one of them has to lead; set it to true, or replicas to 1" }}
{{- end }}
{{- if and (not .Values.leaderElection.enabled) (ne .Values.strategy.type "Recreate") }}
{{- fail "leaderElection.enabled: without it two would work at once during an update; set it to true, or strategy.type to Recreate" }}
{{- end }}
{{- $names := list }}
{{- range .Values.shards }}
{{- if has .name $names }}{{ fail (printf "shards: two are called %s; give each a name of its own" .name) }}{{ end }}
{{- $names = append $names .name }}
{{- if not (include "kratos-operator.selectorText" .selector) }}
{{- fail (printf "shards: the selector of %s selects everything; each of several operators needs its own part" .name) }}
{{- end }}
{{- end }}
{{- end }}

{{/* The rules of some parts of the operator's rights. Given: root, parts. */}}
{{- define "kratos-operator.rules" -}}
{{- $rights := .root.Files.Get "files/rights.yaml" | fromYaml }}
{{- $rules := list }}
{{- range .parts }}{{ $rules = concat $rules (get $rights .) }}{{ end }}
{{- toYaml (uniq $rules) }}
{{- end }}

{{- define "kratos-operator.crdAnnotations" -}}
{{- $annotations := .Values.crds.annotations }}
{{- if .Values.crds.keep }}{{ $annotations = merge (dict "helm.sh/resource-policy" "keep") $annotations }}{{ end }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
