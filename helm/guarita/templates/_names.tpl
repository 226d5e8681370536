{{/* Names, labels and addresses. */}}

{{- define "guarita.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- $full | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "guarita.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Metadata of an object: (dict "root" $ "component" "node" "name" "..." "labels" {} "annotations" {}) */}}
{{- define "guarita.metadata" -}}
name: {{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "guarita.selector" . | nindent 2 }}
  app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
  app.kubernetes.io/managed-by: {{ .root.Release.Service }}
  helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
  {{- with merge (dict) (.labels | default dict) .root.Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (dict) (.annotations | default dict) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "guarita.image" -}}
{{- with .Values.image -}}
{{- if .registry }}{{ .registry }}/{{ end }}{{ .repository }}:{{ default $.Chart.AppVersion .tag }}{{ with .digest }}@{{ . }}{{ end }}
{{- end -}}
{{- end -}}

{{/* With kubectl beside guarita. */}}
{{- define "guarita.drillImage" -}}
{{- with .Values.image -}}
{{- default (printf "%s%s-drill:%s" (ternary (printf "%s/" .registry) "" (not (empty .registry))) .repository (default $.Chart.AppVersion .tag)) $.Values.drill.image -}}
{{- end -}}
{{- end -}}

{{/* The pods of a StatefulSet, a JSON list: (dict "root" $ "component" "node") */}}
{{- define "guarita.pods" -}}
{{- $names := list -}}
{{- $full := include "guarita.fullname" .root -}}
{{- range $n := until (int (include "guarita.count" .)) -}}
{{- $names = append $names (printf "%s-%s-%d" $full $.component $n) -}}
{{- end -}}
{{- toJson $names -}}
{{- end -}}

{{- define "guarita.count" -}}
{{- if eq .component "sentinel" -}}
{{- ternary .root.Values.sentinels.replicas 0 (eq .root.Values.topology "sentinel") -}}
{{- else -}}
{{- get (dict "sentinel" .root.Values.nodes.replicas "standalone" 1 "external" 0 "cluster" (mul 3 (add 1 .root.Values.cluster.replicas))) .root.Values.topology -}}
{{- end -}}
{{- end -}}

{{/* A StatefulSet as it runs, as JSON; an empty map where none does, and in `helm template`. */}}
{{- define "guarita.statefulSet" -}}
{{- lookup "apps/v1" "StatefulSet" .root.Release.Namespace (printf "%s-%s" (include "guarita.fullname" .root) .component) | toJson -}}
{{- end -}}

{{/* The same as guarita.pods, with those that this upgrade takes away: who leaves hands over first, and
is reached and labelled until it has left. */}}
{{- define "guarita.podsAndLeaving" -}}
{{- $set := include "guarita.statefulSet" . | fromJson -}}
{{- $names := include "guarita.pods" . | fromJsonArray -}}
{{- range $n := untilStep (len $names) (int (dig "spec" "replicas" 0 $set)) 1 -}}
{{- $names = append $names (printf "%s-%s-%d" (include "guarita.fullname" $.root) $.component $n) -}}
{{- end -}}
{{- toJson $names -}}
{{- end -}}

{{/* host:port of each pod that runs before this upgrade, a JSON list; in a first install, of each that will.
(dict "root" $ "component" "node" "port" 6379) */}}
{{- define "guarita.runningAddresses" -}}
{{- $set := include "guarita.statefulSet" . | fromJson -}}
{{- $found := list -}}
{{- range $n := until (int (dig "spec" "replicas" (include "guarita.count" . | int) $set)) -}}
{{- $name := printf "%s-%s-%d" (include "guarita.fullname" $.root) $.component $n -}}
{{- $found = append $found (printf "%s:%d" (include "guarita.host" (dict "root" $.root "name" $name)) (int $.port)) -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{/* The host of a Service of ours, as everybody in the cluster reaches it. */}}
{{- define "guarita.host" -}}
{{- printf "%s.%s.svc.%s" .name .root.Release.Namespace .root.Values.clusterDomain -}}
{{- end -}}

{{/* host:port of each pod of a StatefulSet, a JSON list: (dict "root" $ "component" "node" "port" 6379) */}}
{{- define "guarita.addresses" -}}
{{- $found := list -}}
{{- range include "guarita.pods" . | fromJsonArray -}}
{{- $found = append $found (printf "%s:%d" (include "guarita.host" (dict "root" $.root "name" .)) (int $.port)) -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{- define "guarita.primaryName" -}}
{{- default (printf "%s-%s" (include "guarita.fullname" .) .Release.Namespace | trunc 63 | trimSuffix "-") .Values.sentinels.primaryName -}}
{{- end -}}

{{- define "guarita.secretName" -}}
{{- default (printf "%s-secrets" (include "guarita.fullname" .)) .Values.secrets.existingSecret -}}
{{- end -}}

{{/* The keys of the Secret that are random values, a JSON list. */}}
{{- define "guarita.secretKeys" -}}
{{- $keys := list "secret" -}}
{{- range .Values.tenants -}}
{{- if not .keySha256 -}}{{- $keys = append $keys (printf "api-key-%s" .name) -}}{{- end -}}
{{- end -}}
{{- if eq .Values.topology "sentinel" -}}
{{- $keys = concat $keys (list "sentinel-password" "service-password" "agent-password" "sentinel-user-password" "replica-password" "exporter-password") -}}
{{- else if ne .Values.topology "external" -}}
{{- $keys = append $keys "data-password" -}}
{{- end -}}
{{- toJson $keys -}}
{{- end -}}

{{/* Whether our servers speak TLS: "true" or nothing. */}}
{{- define "guarita.hasTls" -}}
{{- if and (ne .Values.tls.source "none") (ne .Values.topology "external") -}}true{{- end -}}
{{- end -}}

{{- define "guarita.tlsSecret" -}}
{{- ternary .Values.tls.existingSecret (printf "%s-tls" (include "guarita.fullname" .)) (eq .Values.tls.source "secret") -}}
{{- end -}}

{{/* Every host that a server of ours is reached by, a JSON list. */}}
{{- define "guarita.tlsHosts" -}}
{{- $full := include "guarita.fullname" . -}}
{{- $names := list (printf "%s-primary" $full) (printf "%s-replicas" $full) (printf "%s-sentinel" $full) -}}
{{- $names = concat (include "guarita.pods" (dict "root" . "component" "node") | fromJsonArray) (include "guarita.pods" (dict "root" . "component" "sentinel") | fromJsonArray) $names -}}
{{- $hosts := list "localhost" -}}
{{- range $names -}}
{{- $hosts = append $hosts (include "guarita.host" (dict "root" $ "name" .)) -}}
{{- end -}}
{{- toJson $hosts -}}
{{- end -}}

{{- define "guarita.anyAddress" -}}
{{- ternary "[::]" "0.0.0.0" .Values.ipv6 -}}
{{- end -}}

{{/* Where a host of the Ingress is reached: (dict "root" $ "host" "...") */}}
{{- define "guarita.ingressUrl" -}}
{{- $secure := false -}}
{{- range .root.Values.ingress.tls -}}
{{- if or (not .hosts) (has $.host .hosts) -}}{{- $secure = true -}}{{- end -}}
{{- end -}}
{{- ternary "https" "http" $secure }}://{{ .host -}}
{{- end -}}

{{/* Where browsers reach the service, as far as the values tell; else empty. */}}
{{- define "guarita.outside" -}}
{{- if .Values.service.publicUrl -}}
{{- trimSuffix "/" .Values.service.publicUrl -}}
{{- else if .Values.ingress.enabled -}}
{{- with first .Values.ingress.hosts -}}{{- include "guarita.ingressUrl" (dict "root" $ "host" .) -}}{{- end -}}
{{- end -}}
{{- end -}}

{{/* Egress rules to names and to the API server, a JSON list of these two. */}}
{{- define "guarita.toApiServer" -}}
{{- $policy := .Values.networkPolicy -}}
{{- $dns := dict "ports" (list (dict "port" 53 "protocol" "UDP") (dict "port" 53 "protocol" "TCP")) -}}
{{- $apiServer := dict "ports" list -}}
{{- range $policy.apiServerPorts -}}
{{- $_ := set $apiServer "ports" (append $apiServer.ports (dict "port" (int .) "protocol" "TCP")) -}}
{{- end -}}
{{- range $policy.apiServerCidrs -}}
{{- $_ := set $apiServer "to" (append ($apiServer.to | default list) (dict "ipBlock" (dict "cidr" .))) -}}
{{- end -}}
{{- list $dns $apiServer | toJson -}}
{{- end -}}
