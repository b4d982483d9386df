{{/* What the issuer does with objects in namespaces, reading Secrets apart. */}}
{{- define "cfssl-issuer.rules" -}}
- apiGroups: [cert-manager.io]
  resources: [certificaterequests]
  verbs: [get, list, watch]
- apiGroups: [cert-manager.io]
  resources: [certificaterequests/status]
  verbs: [patch]
- apiGroups: [cfssl-issuer.wikimedia.org]
  resources: [{{ if not .Values.rbac.namespaced }}clusterissuers, {{ end }}issuers]
  verbs: [get, list, watch]
- apiGroups: [cfssl-issuer.wikimedia.org]
  resources: [{{ if not .Values.rbac.namespaced }}clusterissuers/status, {{ end }}issuers/status]
  verbs: [patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}

{{/* No `list`: objects are read and watched one by one, by name. */}}
{{- define "cfssl-issuer.allSecretsRule" -}}
- apiGroups: [""]
  resources: [configmaps, secrets]
  verbs: [get, watch]
{{- end }}

{{/*
Which Secrets and ConfigMaps a spec names, a line each: "secrets NAME" or "configmaps NAME". Every secretRef, configMapRef
and key that ends in SecretName, however deep, so that new fields of the CRD are found too.
*/}}
{{- define "cfssl-issuer.referencesOf" -}}
{{- range $key, $value := . }}
  {{- if and (hasSuffix "SecretName" $key) (kindIs "string" $value) }}
    {{- printf "secrets %s\n" $value }}
  {{- else if eq $key "secretRef" }}
    {{- printf "secrets %s\n" $value.name }}
  {{- else if eq $key "configMapRef" }}
    {{- printf "configmaps %s\n" $value.name }}
  {{- else if kindIs "map" $value }}
    {{- include "cfssl-issuer.referencesOf" $value }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Those of all issuers that the values name, as {NAMESPACE: [LINE]}. */}}
{{- define "cfssl-issuer.namedReferences" -}}
{{- $issuers := values .Values.issuers }}
{{- with .Values.simpleCfssl }}
  {{- if and .enabled .issuer.kind }}
    {{- $issuers = append $issuers (dict "kind" .issuer.kind "namespace" $.Release.Namespace "authSecretName" (printf "%s-key" .issuer.name)) }}
  {{- end }}
{{- end }}
{{- $byNamespace := dict }}
{{- range $issuers }}
  {{- $namespace := include "cfssl-issuer.issuerNamespace" (dict "root" $ "issuer" .) }}
  {{- $lines := include "cfssl-issuer.referencesOf" . | splitList "\n" | compact }}
  {{- $_ := set $byNamespace $namespace (concat (get $byNamespace $namespace | default list) $lines | uniq | sortAlpha) }}
{{- end }}
{{- toJson $byNamespace }}
{{- end }}
