{{/* The operator's command line after `run`. Given: root, and selector where the resources are shared. */}}
{{- define "kratos-operator.args" -}}
{{- $selector := .selector }}
{{- with .root }}
{{- with .Values.defaultInstance }}
- --default-instance={{ . }}
{{- end }}
{{- with .Values.instanceNamespaces }}
- --instance-namespaces={{ join "," . }}
{{- end }}
{{- with .Values.namespaces }}
- --namespaces={{ join "," . }}
{{- end }}
{{- with .Values.clusterID }}
- --cluster-id={{ . }}
{{- end }}
{{- with $selector }}
- {{ printf "--watch-selector=%s" (include "kratos-operator.selectorText" .) | quote }}
{{- end }}
- --leader-elect={{ .Values.leaderElection.enabled }}
- --watch-secrets={{ .Values.watchSecrets }}
- --recovery-secrets={{ .Values.recoverySecrets.enabled }}
{{- if .Values.requireSecretLabel }}
- --require-secret-label
{{- end }}
{{- with .Values.minPasswordLength }}
- --min-password-length={{ . }}
{{- end }}
- --concurrency={{ .Values.concurrency }}
- --health-address=:{{ .Values.health.port }}
{{- if .Values.metrics.enabled }}
- --metrics-address=:{{ .Values.metrics.port }}
{{- end }}
{{- if .Values.auditLog.enabled }}
- --audit-log=-
{{- end }}
- --log-format={{ .Values.log.format | lower }}
{{- range .Values.extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}
