{{/* guarita.yaml, as JSON: of the service, and of data nodes and Sentinels. No secret is in it. */}}

{{- define "guarita.sentinelStore" -}}
{{- $sentinels := include "guarita.addresses" (dict "root" . "component" "sentinel" "port" 26379) | fromJsonArray -}}
{{- $store := dict
      "topology" "sentinel"
      "durability" .Values.durability
      "deadline_s" .Values.deadlineSeconds
      "sentinel" (dict
        "primary_name" (include "guarita.primaryName" .)
        "nodes" $sentinels
        "password_file" "/run/guarita/sentinel-password") -}}
{{- include "guarita.withTls" (dict "root" $ "store" $store) -}}
{{- end -}}

{{/* The store, as JSON, with TLS where our servers speak it. */}}
{{- define "guarita.withTls" -}}
{{- $store := .store -}}
{{- if include "guarita.hasTls" .root -}}
{{- $tls := dict "tls" (dict "enabled" true "ca_file" "/run/guarita-tls/ca.crt") -}}
{{- range list "data" "sentinel" -}}
{{- $_ := set $store . (merge (get $store . | default dict) (deepCopy $tls)) -}}
{{- end -}}
{{- if ne .root.Values.topology "sentinel" -}}{{- $store = omit $store "sentinel" -}}{{- end -}}
{{- end -}}
{{- toJson $store -}}
{{- end -}}

{{- define "guarita.store" -}}
{{- $common := dict "durability" .Values.durability "deadline_s" .Values.deadlineSeconds -}}
{{- if eq .Values.topology "sentinel" -}}
{{- $store := include "guarita.sentinelStore" . | fromJson -}}
{{- $nodes := include "guarita.addresses" (dict "root" . "component" "node" "port" 6379) | fromJsonArray -}}
{{- mergeOverwrite (dict
      "data_nodes" $nodes
      "data" (dict "username" "guarita-service" "password_file" "/run/guarita/service-password"))
      $store
    | toJson -}}
{{- else if eq .Values.topology "standalone" -}}
{{- $host := include "guarita.host" (dict "root" . "name" (printf "%s-primary" (include "guarita.fullname" .))) -}}
{{- $store := merge $common (dict
      "topology" "standalone"
      "standalone" (dict "host" $host "port" 6379)
      "data" (dict "password_file" "/run/guarita/data-password")) -}}
{{- include "guarita.withTls" (dict "root" $ "store" $store) -}}
{{- else if eq .Values.topology "cluster" -}}
{{- $nodes := include "guarita.addresses" (dict "root" . "component" "node" "port" 6379) | fromJsonArray -}}
{{- merge $common (dict
      "topology" "cluster"
      "cluster" (dict "nodes" $nodes "replicas" .Values.cluster.replicas)
      "data" (dict "password_file" "/run/guarita/data-password"))
    | toJson -}}
{{- else -}}
{{- include "guarita.externalStore" . -}}
{{- end -}}
{{- end -}}

{{- define "guarita.externalStore" -}}
{{- $given := .Values.external -}}
{{- $data := dict "db" (int $given.db) -}}
{{- if $given.username -}}{{- $_ := set $data "username" $given.username -}}{{- end -}}
{{- if $given.existingSecret -}}{{- $_ := set $data "password_file" "/run/guarita-external/data-password" -}}{{- end -}}
{{- $tls := dict "enabled" $given.tls -}}
{{- if $given.tlsAuthority -}}{{- $_ := set $tls "ca_file" "/run/guarita-external/ca.crt" -}}{{- end -}}
{{- if $given.tls -}}{{- $_ := set $data "tls" $tls -}}{{- end -}}
{{- $store := dict "topology" $given.topology "durability" .Values.durability "deadline_s" .Values.deadlineSeconds "data" $data -}}
{{- if eq $given.topology "standalone" -}}
{{- $address := first $given.nodes -}}
{{- $port := splitList ":" $address | last -}}
{{- $_ := set $store "standalone" (dict "host" (trimSuffix (printf ":%s" $port) $address) "port" (int $port)) -}}
{{- else if eq $given.topology "sentinel" -}}
{{- $sentinel := dict "primary_name" $given.primaryName "nodes" $given.nodes -}}
{{- if $given.sentinelUsername -}}{{- $_ := set $sentinel "username" $given.sentinelUsername -}}{{- end -}}
{{- if $given.sentinelPassword -}}{{- $_ := set $sentinel "password_file" "/run/guarita-external/sentinel-password" -}}{{- end -}}
{{- if $given.tls -}}{{- $_ := set $sentinel "tls" $tls -}}{{- end -}}
{{- $_ := set $store "sentinel" $sentinel -}}
{{- else -}}
{{- $_ := set $store "cluster" (dict "nodes" $given.nodes) -}}
{{- end -}}
{{- toJson $store -}}
{{- end -}}

{{- define "guarita.sessions" -}}
{{- with .Values.sessions -}}
{{- dict "ticket_ttl_s" .ticketTtlSeconds "session_ttl_s" .sessionTtlSeconds "max_sessions" .maxSessions "replay_window_s" .replayWindowSeconds | toJson -}}
{{- end -}}
{{- end -}}

{{- define "guarita.serviceConfig" -}}
{{- $tenants := list -}}
{{- range .Values.tenants -}}
{{- $tenant := dict "name" .name "origins" (.origins | default list) -}}
{{- if .keySha256 -}}
{{- $_ := set $tenant "key_sha256" .keySha256 -}}
{{- else -}}
{{- $_ := set $tenant "key_file" (printf "/run/guarita/api-key-%s" .name) -}}
{{- end -}}
{{- $tenants = append $tenants $tenant -}}
{{- end -}}
{{- $server := dict "bind" (printf "%s:8000" (include "guarita.anyAddress" .)) "workers" .Values.service.workers "trusted_proxies" .Values.service.trustedProxies -}}
{{- with .Values.service.publicUrl -}}{{- $_ := set $server "public_url" . -}}{{- end -}}
{{- $config := dict
      "server" $server
      "store" (include "guarita.store" . | fromJson)
      "sessions" (include "guarita.sessions" . | fromJson)
      "security" (dict "secret_file" "/run/guarita/secret" "tenants" $tenants)
      "logs" (dict "level" .Values.logs.level "format" "json") -}}
{{- /* For doctor, which asks the agents too. */}}
{{- if eq .Values.topology "sentinel" -}}
{{- $peers := include "guarita.addresses" (dict "root" . "component" "node" "port" 6379) | fromJsonArray -}}
{{- $_ := set $config "node" (dict "peers" $peers "http" (printf "%s:8300" (include "guarita.anyAddress" .))) -}}
{{- end -}}
{{- if .Values.region.name -}}{{- $_ := set $config "region" .Values.region -}}{{- end -}}
{{- mergeOverwrite $config (deepCopy .Values.config) | toYaml -}}
{{- end -}}

{{- define "guarita.nodeConfig" -}}
{{- $isSentinel := eq .Values.topology "sentinel" -}}
{{- $node := dict
      "http" (printf "%s:8300" (include "guarita.anyAddress" .))
      "data_dir" "/data"
      "server" .Values.nodes.server
      "memory_mb" .Values.nodes.memoryMb
      "stop_s" .Values.nodes.stopSeconds -}}
{{- if $isSentinel -}}
{{- $node = merge $node (include "guarita.underSentinels" . | fromJson) -}}
{{- else if eq .Values.topology "cluster" -}}
{{- $_ := set $node "down_after_ms" .Values.cluster.nodeTimeoutMs -}}
{{- end -}}
{{- if include "guarita.hasTls" . -}}
{{- $_ := set $node "tls" (dict "cert_file" "/run/guarita-tls/tls.crt" "key_file" "/run/guarita-tls/tls.key" "ca_file" "/run/guarita-tls/ca.crt") -}}
{{- end -}}
{{- with .Values.nodes.fsync -}}{{- $_ := set $node "fsync" . -}}{{- end -}}
{{- $keys := pick (default dict .Values.config.sessions) "key_prefix" "stats_key" -}}
{{- $config := dict
      "store" (ternary (include "guarita.sentinelStore" .) (include "guarita.store" .) $isSentinel | fromJson)
      "node" $node
      "logs" (dict "level" .Values.logs.level "format" "json") -}}
{{- if $keys -}}{{- $_ := set $config "sessions" $keys -}}{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* What a data node under Sentinels knows beside, and a Sentinel. */}}
{{- define "guarita.underSentinels" -}}
{{- $users := dict -}}
{{- range $role, $key := dict "service" "service-password" "agent" "agent-password" "sentinel" "sentinel-user-password" "replica" "replica-password" "exporter" "exporter-password" -}}
{{- $_ := set $users $role (dict "password_file" (printf "/run/guarita/%s" $key)) -}}
{{- end -}}
{{- $node := dict
      "peers" (include "guarita.addresses" (dict "root" . "component" "node" "port" 6379) | fromJsonArray)
      "down_after_ms" .Values.sentinels.downAfterMs
      "failover_timeout_ms" .Values.sentinels.failoverTimeoutMs
      "parallel_syncs" .Values.sentinels.parallelSyncs
      "users" $users -}}
{{- with .Values.sentinels.quorum -}}{{- $_ := set $node "quorum" . -}}{{- end -}}
{{- toJson $node -}}
{{- end -}}

{{/* What the service gets of the Secret, a JSON list. */}}
{{- define "guarita.serviceKeys" -}}
{{- $all := include "guarita.secretKeys" . | fromJsonArray -}}
{{- range list "agent-password" "sentinel-user-password" "replica-password" "exporter-password" -}}
{{- $all = without $all . -}}
{{- end -}}
{{- toJson $all -}}
{{- end -}}

{{/* What data nodes and Sentinels get of it: every user is known to both. */}}
{{- define "guarita.nodeKeys" -}}
{{- if ne .Values.topology "sentinel" -}}{{- list "data-password" | toJson -}}{{- else -}}
{{- list "sentinel-password" "service-password" "agent-password" "sentinel-user-password" "replica-password" "exporter-password" | toJson -}}
{{- end -}}
{{- end -}}
