{{/* A pod of `helm test`: (dict "root" $ "name" "doctor" "weight" "1" "args" (list ...) "env" (list ...)) */}}
{{- define "guarita.testPod" -}}
{{- $root := .root -}}
{{- $hook := dict "helm.sh/hook" "test" "helm.sh/hook-weight" .weight "helm.sh/hook-delete-policy" "before-hook-creation" -}}
{{- $dict := dict "root" $root "component" "test" "name" (printf "%s-test-%s" (include "guarita.fullname" $root) .name) "values" (include "guarita.jobValues" $root | fromJson) "annotations" $hook -}}
apiVersion: v1
kind: Pod
metadata:
  {{- include "guarita.metadata" $dict | nindent 2 }}
spec:
  {{- include "guarita.podSettings" $dict | nindent 2 }}
  automountServiceAccountToken: false
  restartPolicy: Never
  containers:
    - name: {{ .name }}
      {{- include "guarita.containerSettings" $root | nindent 6 }}
      args:
        {{- toYaml .args | nindent 8 }}
      env:
        - {name: GUARITA_CONFIG, value: /etc/guarita/guarita.yaml}
        {{- with .env }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      resources:
        requests: {cpu: 10m, memory: 64Mi}
        limits: {memory: 192Mi}
      volumeMounts:
        - {name: config, mountPath: /etc/guarita, readOnly: true}
        - {name: secrets, mountPath: /run/guarita, readOnly: true}
        {{- if include "guarita.hasTls" $root }}
        - {name: tls, mountPath: /run/guarita-tls, readOnly: true}
        {{- end }}
        {{- if and (eq $root.Values.topology "external") $root.Values.external.existingSecret }}
        - {name: external, mountPath: /run/guarita-external, readOnly: true}
        {{- end }}
  volumes:
    - name: config
      configMap: {name: {{ include "guarita.fullname" $root }}}
    - {{- include "guarita.secretVolume" (dict "root" $root "keys" (include "guarita.serviceKeys" $root | fromJsonArray)) | nindent 6 }}
    {{- if include "guarita.hasTls" $root }}
    - {{- include "guarita.tlsVolume" (dict "root" $root "server" false) | nindent 6 }}
    {{- end }}
    {{- if and (eq $root.Values.topology "external") $root.Values.external.existingSecret }}
    - name: external
      secret: {secretName: {{ $root.Values.external.existingSecret }}, defaultMode: 0440}
    {{- end }}
{{- end -}}

{{/* The first tenant whose key the Secret holds. */}}
{{- define "guarita.testTenant" -}}
{{- $found := "" -}}
{{- range .Values.tenants -}}
{{- if and (not $found) (not .keySha256) -}}{{- $found = .name -}}{{- end -}}
{{- end -}}
{{- $found -}}
{{- end -}}
