{{- define "cfssl-issuer.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "cfssl-issuer.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{/* A Deployment's selector cannot be changed: these labels stay as they are. */}}
{{- define "cfssl-issuer.selectorLabels" -}}
app.kubernetes.io/name: {{ include "cfssl-issuer.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "cfssl-issuer.commonLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "cfssl-issuer.labels" -}}
{{ include "cfssl-issuer.selectorLabels" . }}
{{ include "cfssl-issuer.commonLabels" . }}
{{- end }}

{{- define "cfssl-issuer.image" -}}
{{- with .Values.image -}}
{{ .repository }}/{{ .name }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{/* Where the Secrets of ClusterIssuers lie. */}}
{{- define "cfssl-issuer.clusterResourceNamespace" -}}
{{ .Values.clusterResourceNamespace | default .Release.Namespace }}
{{- end }}

{{/* With rbac.namespaced, the namespaces that are served. */}}
{{- define "cfssl-issuer.namespaces" -}}
{{ .Values.rbac.namespaces | default (list .Release.Namespace) | sortAlpha | uniq | toJson }}
{{- end }}

{{/* Where the Secrets and ConfigMaps of an issuer of the values lie: dict "root" "issuer". */}}
{{- define "cfssl-issuer.issuerNamespace" -}}
{{- if eq .issuer.kind "Issuer" }}{{ .issuer.namespace }}{{ else }}{{ include "cfssl-issuer.clusterResourceNamespace" .root }}{{ end }}
{{- end }}

{{- define "cfssl-issuer.serviceAccountSubject" -}}
- kind: ServiceAccount
  name: {{ .Values.serviceAccount.name }}
  namespace: {{ .Release.Namespace }}
{{- end }}

{{/* `affinity`, and what podAntiAffinity adds to it. */}}
{{- define "cfssl-issuer.affinity" -}}
{{- $term := dict "topologyKey" "kubernetes.io/hostname" "labelSelector" (dict "matchLabels" (include "cfssl-issuer.selectorLabels" . | fromYaml)) }}
{{- $ours := dict }}
{{- if eq .Values.podAntiAffinity "preferred" }}
{{- $ours = dict "podAntiAffinity" (dict "preferredDuringSchedulingIgnoredDuringExecution" (list (dict "weight" 100 "podAffinityTerm" $term))) }}
{{- else if eq .Values.podAntiAffinity "required" }}
{{- $ours = dict "podAntiAffinity" (dict "requiredDuringSchedulingIgnoredDuringExecution" (list $term)) }}
{{- end }}
{{- $affinity := .Values.affinity | default dict }}
{{- if not (hasKey $affinity "podAntiAffinity") }}{{ $affinity = merge (dict) $affinity $ours }}{{ end }}
{{- toYaml $affinity }}
{{- end }}
