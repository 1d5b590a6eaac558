{{- define "oms-gate.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "oms-gate.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "oms-gate.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "oms-gate.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "oms-gate.selector" -}}
app.kubernetes.io/name: {{ include "oms-gate.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "oms-gate.labels" -}}
{{ include "oms-gate.selector" . }}
app.kubernetes.io/part-of: oms-gate
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end -}}

{{- define "oms-gate.image" -}}
{{- $tag := .Values.image.tag | default .Chart.AppVersion -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ $tag }}
{{- end -}}
{{- end -}}

{{- define "oms-gate.opaImage" -}}
{{- with .Values.opa.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "oms-gate.certificateSecret" -}}
{{- if eq .Values.certificates.mode "existing" -}}
{{- required "certificates.mode existing needs certificates.existingSecret: name the Secret with tls.crt and tls.key" .Values.certificates.existingSecret -}}
{{- else -}}
{{ include "oms-gate.fullname" . }}-certificate
{{- end -}}
{{- end -}}

{{/* gate.yaml: what the values say, and what only the chart knows. */}}
{{- define "oms-gate.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $_ := set $config "kubernetes" (merge (dict "image" (include "oms-gate.image" .)) ($config.kubernetes | default dict)) -}}
{{- if .Values.gateway.enabled -}}
{{/* Four fifths of the volume: what is arriving needs room besides. */}}
{{- $room := dict "cache_bytes" (mul 858993459 (int64 .Values.gateway.cacheGiB)) -}}
{{- $_ := set $config "gateway" (merge ($config.gateway | default dict) $room) -}}
{{- end -}}
{{- if .Values.opa.enabled -}}
{{- if $config.publishers -}}
{{- fail "config.publishers have no effect with opa.enabled: print them with `oms-gate config data gate.yaml` and give that as opa.data" -}}
{{- end -}}
{{- if $config.policy -}}
{{- fail "config.policy and opa.enabled exclude each other: take one of them out" -}}
{{- end -}}
{{- $_ := set $config "policy" (dict "server" (dict "url" "http://127.0.0.1:8181")) -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* Restricted, as the Pod Security Standards call it. */}}
{{- define "oms-gate.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "oms-gate.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* What is gated; both webhooks have it. */}}
{{- define "oms-gate.webhook" -}}
admissionReviewVersions: [v1]
failurePolicy: Fail
sideEffects: NoneOnDryRun
matchPolicy: Equivalent
timeoutSeconds: {{ .Values.webhook.timeoutSeconds }}
{{- with .Values.webhook.exemptNamespaces }}
namespaceSelector:
  matchExpressions:
    - key: kubernetes.io/metadata.name
      operator: NotIn
      values: {{ toJson . }}
{{- end }}
matchConditions:
  # The gate's own pods, which could not start before it answers. Who may run a pod as its service
  # account is the gate already.
  - name: not-the-gate-itself
    expression: >-
      !(request.namespace == '{{ .Release.Namespace }}'
      && request.?subResource.orValue('') == ''
      && (request.resource.group == '' && request.resource.resource == 'pods'
      ? object.spec.?serviceAccountName.orValue('') == '{{ include "oms-gate.fullname" . }}'
      : request.resource.group == 'apps' && request.resource.resource in ['deployments', 'replicasets']
      && object.spec.?template.?spec.?serviceAccountName.orValue('') == '{{ include "oms-gate.fullname" . }}'))
rules:
  - apiGroups: [""]
    apiVersions: [v1]
    resources: [pods, pods/ephemeralcontainers, replicationcontrollers]
    operations: [CREATE, UPDATE]
    scope: Namespaced
  - apiGroups: [apps]
    apiVersions: [v1]
    resources: [deployments, statefulsets, daemonsets, replicasets]
    operations: [CREATE, UPDATE]
    scope: Namespaced
  - apiGroups: [batch]
    apiVersions: [v1]
    resources: [jobs, cronjobs]
    operations: [CREATE, UPDATE]
    scope: Namespaced
  - apiGroups: [serving.kserve.io]
    apiVersions: ["*"]
    resources: [inferenceservices, llminferenceservices]
    operations: [CREATE, UPDATE]
    scope: Namespaced
  - apiGroups: [leaderworkerset.x-k8s.io]
    apiVersions: ["*"]
    resources: [leaderworkersets]
    operations: [CREATE, UPDATE]
    scope: Namespaced
{{- end -}}

{{/* The certificate authority of the webhooks, where the chart knows it. */}}
{{- define "oms-gate.caBundle" -}}
{{- if eq .Values.certificates.mode "existing" -}}
caBundle: {{ required "certificates.mode existing needs certificates.caBundle: give the PEM certificates under which the API server can verify the gate" .Values.certificates.caBundle | b64enc }}
{{- end -}}
{{- end -}}

{{/* gate.yaml with the trust beside it, as a volume. */}}
{{- define "oms-gate.configurationVolume" -}}
- name: configuration
  projected:
    sources:
      - configMap:
          name: {{ include "oms-gate.fullname" $ }}
          items: [{key: gate.yaml, path: gate.yaml}]
      {{- with $.Values.trust }}
      - configMap:
          name: {{ include "oms-gate.fullname" $ }}-trust
          items:
            {{- range $file, $_ := . }}
            - {key: {{ $file | quote }}, path: {{ printf "trust/%s" $file | quote }}}
            {{- end }}
      {{- end }}
{{- end -}}

{{- define "oms-gate.opaSidecar" -}}
# A sidecar: it is there before the gate starts, and until it has ended.
- name: opa
  image: {{ include "oms-gate.opaImage" . }}
  restartPolicy: Always
  args:
    - run
    - --server
    - --addr=127.0.0.1:8181
    - --diagnostic-addr=0.0.0.0:8282
    - --disable-telemetry
    - --log-level=error
    # Not a second time through the hidden folder that a ConfigMap's files are links to.
    - --ignore=.*
    - /policy
  ports:
    - {name: opa-health, containerPort: 8282}
  startupProbe:
    httpGet: {path: /health, port: opa-health}
    periodSeconds: 1
    failureThreshold: 60
  livenessProbe:
    httpGet: {path: /health, port: opa-health}
  securityContext:
    {{- include "oms-gate.securityContext" . | nindent 4 }}
  resources:
    {{- toYaml .Values.opa.resources | nindent 4 }}
  volumeMounts:
    - {name: opa, mountPath: /policy, readOnly: true}
{{- end -}}

{{- define "oms-gate.gatewaySelector" -}}
app.kubernetes.io/name: {{ include "oms-gate.name" . }}-gateway
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "oms-gate.gatewayLabels" -}}
{{ include "oms-gate.gatewaySelector" . }}
app.kubernetes.io/part-of: oms-gate
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end -}}
