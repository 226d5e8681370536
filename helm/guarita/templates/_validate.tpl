{{/* What no single value can tell: a sentence for each contradiction. */}}
{{- define "guarita.validate" -}}
{{- $problems := list -}}
{{- $full := include "guarita.fullname" . -}}
{{- if gt (len $full) 40 -}}
{{- $problems = append $problems (printf "fullnameOverride: %s has more than 40 characters, and names of objects are longer than it" $full) -}}
{{- end -}}
{{- if not .Values.tenants -}}
{{- $problems = append $problems "tenants: needed: without one nobody can create tickets" -}}
{{- end -}}
{{- range $name, $seconds := pick .Values.sessions "ticketTtlSeconds" "sessionTtlSeconds" -}}
{{- if lt (int $seconds) 1 -}}
{{- $problems = append $problems (printf "sessions.%s: %d: what is over at once can never be used" $name (int $seconds)) -}}
{{- end -}}
{{- end -}}
{{- if ge (int .Values.sessions.replayWindowSeconds) (int .Values.sessions.ticketTtlSeconds) -}}
{{- $problems = append $problems "sessions.replayWindowSeconds: must be less than sessions.ticketTtlSeconds: a ticket is over by then" -}}
{{- end -}}
{{- if le (int .Values.service.terminationGracePeriodSeconds) (add (int .Values.deadlineSeconds) 5) -}}
{{- $problems = append $problems "service.terminationGracePeriodSeconds: must be more than deadlineSeconds and 5 s: a request that waits is answered first" -}}
{{- end -}}
{{- if ne .Values.topology "external" -}}
{{- $problems = concat $problems (include "guarita.nodeProblems" . | fromJsonArray) -}}
{{- end -}}
{{- if eq .Values.topology "sentinel" -}}
{{- $problems = concat $problems (include "guarita.sentinelProblems" . | fromJsonArray) -}}
{{- end -}}
{{- if and (eq .Values.topology "cluster") (ne .Values.tls.source "none") -}}
{{- $problems = append $problems "tls.source: none with topology: cluster, whose nodes know each other by address, while certificates name hosts" -}}
{{- end -}}
{{- if and (eq .Values.topology "cluster") (lt (int .Values.cluster.replicas) 1) -}}
{{- $problems = append $problems "cluster.replicas: 0: with one machine a third of the tickets would be gone" -}}
{{- end -}}
{{- if and (eq .Values.topology "cluster") (lt (int .Values.cluster.nodeTimeoutMs) 1000) -}}
{{- $problems = append $problems (printf "cluster.nodeTimeoutMs: %d is less than 1000: a node that is busy for a moment would be taken for dead" (int .Values.cluster.nodeTimeoutMs)) -}}
{{- end -}}
{{- if and (eq .Values.topology "cluster") (le (mulf .Values.deadlineSeconds 1000) (addf .Values.cluster.nodeTimeoutMs 3000)) -}}
{{- $problems = append $problems "deadlineSeconds: must be more than cluster.nodeTimeoutMs and 3 s: a request would not outlast a failover" -}}
{{- end -}}
{{- if and .Values.drill.enabled (or (ne .Values.topology "sentinel") (include "guarita.hasTls" .)) -}}
{{- $problems = append $problems "drill.enabled: needs topology: sentinel and tls.source: none: other servers cannot be asked by it" -}}
{{- end -}}
{{- if and (eq .Values.topology "external") (not .Values.external.nodes) -}}
{{- $problems = append $problems "external.nodes: needed with topology: external: the host:port of each server" -}}
{{- end -}}
{{- if and .Values.external.sentinelPassword (not .Values.external.existingSecret) -}}
{{- $problems = append $problems "external.existingSecret: needed since external.sentinelPassword is true: passwords do not stand in values" -}}
{{- end -}}
{{- if and (eq .Values.tls.source "secret") (not .Values.tls.existingSecret) -}}
{{- $problems = append $problems "tls.existingSecret: needed with tls.source: secret" -}}
{{- end -}}
{{- if and (eq .Values.tls.source "certManager") (not .Values.tls.issuerName) -}}
{{- $problems = append $problems "tls.issuerName: needed with tls.source: certManager" -}}
{{- end -}}
{{- if and .Values.external.tlsAuthority (not (and .Values.external.tls .Values.external.existingSecret)) -}}
{{- $problems = append $problems "external.tlsAuthority: needs external.tls and external.existingSecret" -}}
{{- end -}}
{{- if and .Values.region.peers (not .Values.region.name) -}}
{{- $problems = append $problems "region.name: needed since region.peers is set: name this region" -}}
{{- end -}}
{{- if and .Values.serviceMonitor.enabled .Values.networkPolicy.enabled (not .Values.networkPolicy.metricsFrom) (ne .Values.topology "external") -}}
{{- $problems = append $problems "networkPolicy.metricsFrom: needed with serviceMonitor.enabled: without it Prometheus does not reach the agents" -}}
{{- end -}}
{{- with .Values.service.autoscaling -}}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) -}}
{{- $problems = append $problems "service.autoscaling.minReplicas: must not be more than maxReplicas" -}}
{{- end -}}
{{- if and .enabled (not (dig "requests" "cpu" "" ($.Values.service.resources | default dict))) -}}
{{- $problems = append $problems "service.resources.requests.cpu: needed with service.autoscaling.enabled, which aims at a percentage of it" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- $problems = append $problems "httpRoute.parentRefs: needed with httpRoute.enabled: without a gateway nobody reads it" -}}
{{- end -}}
{{- if and .Values.networkPolicy.enabled (not .Values.networkPolicy.serviceEgress) -}}
{{- range $who := list (ternary "topology: external" "" (eq .Values.topology "external")) (ternary "region.peers" "" (not (empty .Values.region.peers))) | compact -}}
{{- $problems = append $problems (printf "networkPolicy.serviceEgress: needed with %s: the policy would keep the service from them" $who) -}}
{{- end -}}
{{- end -}}
{{- $problems = concat $problems (include "guarita.unreadProblems" . | fromJsonArray) -}}
{{- $problems = concat $problems (include "guarita.runningProblems" . | fromJsonArray) -}}
{{- if $problems -}}
{{- fail (printf "\n\n%s\n" (join "\n" $problems)) -}}
{{- end -}}
{{- end -}}

{{/* What is set and nobody would read. */}}
{{- define "guarita.unreadProblems" -}}
{{- $problems := list -}}
{{- with .Values.secrets -}}
{{- if and .rotation (or .existingSecret (ne $.Values.topology "sentinel")) -}}
{{- $problems = append $problems "secrets.rotation: changes the passwords of topology: sentinel in a Secret that the Job made: with a Secret of your own change it yourself (docs/kubernetes.md)" -}}
{{- end -}}
{{- end -}}
{{- with .Values.tls -}}
{{- range $key, $source := dict "existingSecret" "secret" "issuerName" "certManager" "renewal" "job" -}}
{{- if and (get $.Values.tls $key) (ne $.Values.tls.source $source) -}}
{{- $problems = append $problems (printf "tls.%s: read with tls.source: %s alone, and it is %s" $key $source $.Values.tls.source) -}}
{{- end -}}
{{- end -}}
{{- if and (ne .source "none") (eq $.Values.topology "external") -}}
{{- $problems = append $problems "tls.source: is for servers of this chart: with topology: external set external.tls" -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end -}}

{{/* A quantity of Kubernetes in MiB, 0 where there is none: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/ */}}
{{- define "guarita.mebibytes" -}}
{{- $units := dict "" 1.0 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "m" 0.001 "Pi" 1125899906842624.0 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 -}}
{{- $unit := regexFind "[A-Za-z]*$" (toString .) -}}
{{- if hasKey $units $unit -}}
{{- floor (divf (mulf (float64 (trimSuffix $unit (toString .))) (get $units $unit)) 1048576) -}}
{{- else -}}0{{- end -}}
{{- end -}}

{{- define "guarita.nodeProblems" -}}
{{- $problems := list -}}
{{- with .Values.nodes -}}
{{- $limit := dig "limits" "memory" "" (.resources | default dict) | toString -}}
{{- $needed := add (mul 2 (int .memoryMb)) 128 -}}
{{- if and $limit (lt (include "guarita.mebibytes" $limit | float64) (float64 $needed)) -}}
{{- $problems = append $problems (printf "nodes.resources.limits.memory: %s is less than %dMi, which is nodes.memoryMb twice and 128Mi: while its file is rewritten the server would be killed" $limit $needed) -}}
{{- end -}}
{{- /* What runs has its volumes, and could not have others. */}}
{{- $runs := include "guarita.statefulSet" (dict "root" $ "component" "node") | fromJson -}}
{{- if and .persistence.enabled (not $runs) (lt (include "guarita.mebibytes" .persistence.size | float64) (float64 (mul 3 (int .memoryMb)))) -}}
{{- $problems = append $problems (printf "nodes.persistence.size: %s is less than %dMi, which is nodes.memoryMb thrice: the file, its new version, and what is written meanwhile" .persistence.size (mul 3 (int .memoryMb))) -}}
{{- end -}}
{{- if and (eq $.Values.topology "cluster") (gt (int .maxUnavailable) 1) -}}
{{- $problems = append $problems "nodes.maxUnavailable: 1 with topology: cluster: two might be a primary and its replica" -}}
{{- end -}}
{{- if and (not .persistence.enabled) (not .persistence.allowDataLoss) -}}
{{- $problems = append $problems "nodes.persistence.enabled: false loses every ticket whose pods go: set nodes.persistence.allowDataLoss where that is meant" -}}
{{- end -}}
{{- if le (int .terminationGracePeriodSeconds) (int .stopSeconds) -}}
{{- $problems = append $problems "nodes.terminationGracePeriodSeconds: must be more than nodes.stopSeconds, in which a primary hands over" -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end -}}

{{- define "guarita.sentinelProblems" -}}
{{- $problems := list -}}
{{- $sentinels := .Values.sentinels -}}
{{- $majority := add (div (int $sentinels.replicas) 2) 1 -}}
{{- if lt (int .Values.nodes.replicas) 3 -}}
{{- $problems = append $problems (printf "nodes.replicas: %d is less than 3: with one away too few are left to acknowledge anything" (int .Values.nodes.replicas)) -}}
{{- end -}}
{{- if lt (int $sentinels.replicas) 3 -}}
{{- $problems = append $problems (printf "sentinels.replicas: %d is less than 3: while one is away nobody could decide" (int $sentinels.replicas)) -}}
{{- end -}}
{{- if le (int $sentinels.terminationGracePeriodSeconds) (int .Values.nodes.stopSeconds) -}}
{{- $problems = append $problems "sentinels.terminationGracePeriodSeconds: must be more than nodes.stopSeconds, which a Sentinel may take as well" -}}
{{- end -}}
{{- if lt (int $sentinels.downAfterMs) 1000 -}}
{{- $problems = append $problems (printf "sentinels.downAfterMs: %d is less than 1000: a node that is busy for a moment would be taken for dead" (int $sentinels.downAfterMs)) -}}
{{- end -}}
{{- if mod (int $sentinels.replicas) 2 | eq 0 -}}
{{- $problems = append $problems (printf "sentinels.replicas: %d is even: it bears no more failures than %d do" (int $sentinels.replicas) (sub (int $sentinels.replicas) 1)) -}}
{{- end -}}
{{- if $sentinels.quorum -}}
{{- if lt (int $sentinels.quorum) (int $majority) -}}
{{- $problems = append $problems (printf "sentinels.quorum: %d is less than the majority of %d, which is %d: a minority that is cut off would take the primary for dead" (int $sentinels.quorum) (int $sentinels.replicas) $majority) -}}
{{- end -}}
{{- if gt (int $sentinels.quorum) (int $sentinels.replicas) -}}
{{- $problems = append $problems (printf "sentinels.quorum: there are only %d Sentinels" (int $sentinels.replicas)) -}}
{{- end -}}
{{- end -}}
{{- if ge (int $sentinels.maxUnavailable) (int $majority) -}}
{{- $problems = append $problems (printf "sentinels.maxUnavailable: must be less than the majority, which is %d: a drain would leave nobody to decide" $majority) -}}
{{- end -}}
{{- if and (gt (int .Values.nodes.maxUnavailable) 1) (le (sub (int .Values.nodes.replicas) (int .Values.nodes.maxUnavailable)) 1) -}}
{{- $problems = append $problems "nodes.maxUnavailable: must leave two data nodes: writes need a replica" -}}
{{- end -}}
{{- if and (eq .Values.durability "strict") (gt (int .Values.nodes.maxUnavailable) 1) -}}
{{- $problems = append $problems "nodes.maxUnavailable: 1 with durability: strict, which stops while one is away" -}}
{{- end -}}
{{- if le (mulf .Values.deadlineSeconds 1000) (addf $sentinels.downAfterMs 3000) -}}
{{- $problems = append $problems "deadlineSeconds: must be more than sentinels.downAfterMs and 3 s: a request would not outlast a failover" -}}
{{- end -}}
{{- toJson $problems -}}
{{- end -}}

{{/* What would harm the release that runs. Only `helm upgrade` knows it; `helm template` finds nothing. */}}
{{- define "guarita.runningProblems" -}}
{{- $problems := list -}}
{{- $full := include "guarita.fullname" . -}}
{{- $service := lookup "v1" "ConfigMap" .Release.Namespace $full -}}
{{- $topology := dig "metadata" "annotations" "guarita/topology" .Values.topology $service -}}
{{- if ne $topology .Values.topology -}}
{{- $problems = append $problems (printf "topology: %s runs here, and %s would not have its tickets: helm uninstall first, or install under another name" $topology .Values.topology) -}}
{{- end -}}
{{- $node := lookup "v1" "ConfigMap" .Release.Namespace (printf "%s-node" $full) -}}
{{- $hadTls := contains "/run/guarita-tls" (values (dig "data" dict $node) | join "") -}}
{{- if and $node (eq $topology .Values.topology) (ne $hadTls (not (empty (include "guarita.hasTls" .)))) -}}
{{- $problems = append $problems "tls.source: TLS cannot be switched on or off while the servers run, since those with and without it do not reach each other: helm uninstall first, which keeps the data, and install again" -}}
{{- end -}}
{{- range $section, $component := dict "nodes" "node" "sentinels" "sentinel" -}}
{{- $set := include "guarita.statefulSet" (dict "root" $ "component" $component) | fromJson -}}
{{- $runs := int (dig "spec" "replicas" 0 $set) -}}
{{- $stay := int (include "guarita.count" (dict "root" $ "component" $component)) -}}
{{- if $set -}}
{{- $values := get $.Values $section -}}
{{- $claims := (dig "spec" "volumeClaimTemplates" list $set) -}}
{{- $has := dict -}}
{{- range $claims -}}{{- $has = . -}}{{- end -}}
{{- $wants := dict -}}
{{- if dig "persistence" "enabled" true $values -}}
{{- $wants = include "guarita.claim" (dict "root" $ "component" $component "persistence" $values.persistence) | fromYaml -}}
{{- end -}}
{{- $volumes := list -}}
{{- range list $has $wants -}}
{{- $size := include "guarita.mebibytes" (dig "spec" "resources" "requests" "storage" "0" .) -}}
{{- $volumes = append $volumes (list $size (dig "spec" "storageClassName" "" .) (dig "metadata" "annotations" dict . | default dict) | toJson) -}}
{{- end -}}
{{- if ne (first $volumes) (last $volumes) -}}
{{- $problems = append $problems (printf "%s.persistence: the volumes of a StatefulSet that runs cannot be changed by an upgrade: see \"Other volumes\" in docs/kubernetes.md" $section) -}}
{{- end -}}
{{- end -}}
{{- if and $stay (lt $stay $runs) (eq $.Values.topology "cluster") -}}
{{- $problems = append $problems "cluster.replicas: nodes of a Cluster that runs are not taken away: any of them may be a primary, and its slots would be gone" -}}
{{- else if and $stay (lt $stay $runs) -}}
{{- $missing := list -}}
{{- range include "guarita.pods" (dict "root" $ "component" $component) | fromJsonArray -}}
{{- $isReady := false -}}
{{- $pod := lookup "v1" "Pod" $.Release.Namespace . | default dict -}}
{{- range dig "status" "conditions" list $pod -}}
{{- if and (eq .type "Ready") (eq .status "True") (not (dig "metadata" "deletionTimestamp" "" $pod)) -}}{{- $isReady = true -}}{{- end -}}
{{- end -}}
{{- if not $isReady -}}{{- $missing = append $missing . -}}{{- end -}}
{{- end -}}
{{- if $missing -}}
{{- $problems = append $problems (printf "%s.replicas: not ready: %s: before others are taken away all that stay must be, or what only those others have is lost (guarita doctor says what is wrong)" $section (join ", " $missing)) -}}
{{- end -}}
{{- if le (mul 2 $stay) $runs -}}
{{- $problems = append $problems (printf "%s.replicas: %d is no majority of the %d that run: take fewer away at a time" $section $stay $runs) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end -}}
