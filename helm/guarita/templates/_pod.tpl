{{/* What pods have in common. */}}

{{/* Metadata of a pod: (dict "root" $ "component" "node" "values" .Values.nodes "annotations" {}) */}}
{{- define "guarita.podMetadata" -}}
labels:
  {{- include "guarita.selector" . | nindent 2 }}
  {{- with merge (dict) (.values.podLabels | default dict) .root.Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (dict) (.annotations | default dict) (.values.podAnnotations | default dict) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Of a Job or a test, as JSON: it runs where the service may, beside whatever is there. */}}
{{- define "guarita.jobValues" -}}
{{- merge (dict "spreadNodes" "none" "spreadZones" "none") (pick .Values.service "nodeSelector" "tolerations" "priorityClassName") | toJson -}}
{{- end -}}

{{/* Of a pod's spec, beside its containers and volumes. */}}
{{- define "guarita.podSettings" -}}
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  {{- with .root.Values.podSecurity.runAsUser }}
  runAsUser: {{ int64 . }}
  runAsGroup: {{ int64 . }}
  {{- end }}
  {{- with .root.Values.podSecurity.fsGroup }}
  fsGroup: {{ int64 . }}
  fsGroupChangePolicy: OnRootMismatch
  {{- end }}
  seccompProfile: {type: RuntimeDefault}
# Our names have four dots: they are whole, and no search list is tried first.
dnsConfig:
  options: [{name: ndots, value: "3"}]
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity | default (include "guarita.antiAffinity" . | fromYaml) }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* One pod on a Kubernetes node and in a zone, as strictly as is asked for. */}}
{{- define "guarita.antiAffinity" -}}
{{- $required := list -}}
{{- $preferred := list -}}
{{- $self := dict "matchLabels" (include "guarita.selector" . | fromYaml) -}}
{{- range $key, $how := dict "kubernetes.io/hostname" (.values.spreadNodes | default "preferred") "topology.kubernetes.io/zone" (.values.spreadZones | default "preferred") -}}
{{- $term := dict "topologyKey" $key "labelSelector" $self -}}
{{- if eq $how "required" -}}
{{- $required = append $required $term -}}
{{- else if eq $how "preferred" -}}
{{- $preferred = append $preferred (dict "weight" 50 "podAffinityTerm" $term) -}}
{{- end -}}
{{- end -}}
{{- if or $required $preferred -}}
podAntiAffinity:
  {{- with $required }}
  requiredDuringSchedulingIgnoredDuringExecution:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $preferred }}
  preferredDuringSchedulingIgnoredDuringExecution:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
{{- end -}}

{{/* Of every container of ours. */}}
{{- define "guarita.containerSettings" -}}
image: {{ .image | default (include "guarita.image" .) }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{/* Whether names are kept in a hosts file, so that no Sentinel waits for the name service. */}}
{{- define "guarita.hasHosts" -}}
{{- if eq .Values.topology "sentinel" }}true{{ end -}}
{{- end -}}

{{/* Before ours, the given ones beside it: a hosts file of this pod that ours may write. */}}
{{- define "guarita.initContainers" -}}
{{- if or (include "guarita.hasHosts" .root) .values.initContainers -}}
initContainers:
  {{- if include "guarita.hasHosts" .root }}
  - name: hosts
    {{- include "guarita.containerSettings" .root | nindent 4 }}
    command: [cp, /etc/hosts, /hosts/hosts]
    resources:
      requests: {cpu: 10m, memory: 16Mi}
      limits: {memory: 32Mi}
    volumeMounts:
      - {name: hosts, mountPath: /hosts}
  {{- end }}
  {{- with .values.initContainers }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}
{{- end -}}

{{/* Files from the Secret: (dict "root" $ "keys" (list ...) "changing" true); with the last, also the
passwords beside those that are being changed. */}}
{{- define "guarita.secretVolume" -}}
{{- $name := include "guarita.secretName" .root -}}
name: secrets
projected:
  defaultMode: 0440
  sources:
    - secret:
        name: {{ $name }}
        items:
          {{- range .keys }}
          - {key: {{ . }}, path: {{ . }}}
          {{- end }}
    {{- if .changing }}
    - secret:
        name: {{ $name }}
        optional: true
        items:
          {{- range .keys }}
          - {key: {{ . }}-next, path: {{ . }}-next}
          - {key: {{ . }}-previous, path: {{ . }}-previous}
          {{- end }}
    {{- end }}
{{- end -}}

{{/* Of a pod that speaks TLS to our servers, or is one: (dict "root" $ "server" true) */}}
{{- define "guarita.tlsVolume" -}}
name: tls
secret:
  secretName: {{ include "guarita.tlsSecret" .root }}
  defaultMode: 0440
  items:
    - {key: ca.crt, path: ca.crt}
    {{- if .server }}
    - {key: tls.crt, path: tls.crt}
    - {key: tls.key, path: tls.key}
    {{- end }}
{{- end -}}

{{/* Volume claim of a StatefulSet: (dict "root" $ "component" "node" "persistence" ...) */}}
{{- define "guarita.claim" -}}
metadata:
  name: data
  labels:
    {{- include "guarita.selector" . | nindent 4 }}
  {{- with .persistence.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  accessModes: [ReadWriteOnce]
  {{- with .persistence.storageClass }}
  storageClassName: {{ . }}
  {{- end }}
  resources:
    requests: {storage: {{ .persistence.size }}}
{{- end -}}
