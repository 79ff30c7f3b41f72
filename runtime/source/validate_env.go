package source

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func validateEnv(c *corev1.Container, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, env := range c.Env {
		at := path.Child("env").Index(i)
		if env.Name == "" {
			errs = append(errs, field.Required(at.Child("name"), ""))
		} else {
			errs = append(errs, envName(env.Name, at.Child("name"))...)
		}
		if env.ValueFrom != nil {
			errs = append(errs, validateValueFrom(env, at.Child("valueFrom"))...)
		}
	}
	at := path.Child("envFrom")
	for i, from := range c.EnvFrom {
		if from.Prefix != "" {
			errs = append(errs, envName(from.Prefix, at.Index(i).Child("prefix"))...)
		}
		if from.ConfigMapRef != nil && from.ConfigMapRef.Name == "" {
			errs = append(errs, field.Required(at.Index(i).Child("configMapRef", "name"), ""))
		}
		if from.SecretRef != nil && from.SecretRef.Name == "" {
			errs = append(errs, field.Required(at.Index(i).Child("secretRef", "name"), ""))
		}
		switch count(from.ConfigMapRef != nil, from.SecretRef != nil) {
		case 0:
			errs = append(errs, field.Invalid(at, "", "must specify one of: `configMapRef` or `secretRef`"))
		case 1:
		default:
			errs = append(errs, field.Invalid(at, "", "may not have more than one field specified at a time"))
		}
	}
	return errs
}

func envName(name string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, msg := range validation.IsRelaxedEnvVarName(name) {
		errs = append(errs, field.Invalid(path, name, msg))
	}
	return errs
}

func validateValueFrom(env corev1.EnvVar, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	from := env.ValueFrom
	if from.FieldRef != nil {
		errs = append(errs, validateFieldRef(from.FieldRef, envFields(), path.Child("fieldRef"))...)
	}
	if from.ResourceFieldRef != nil {
		errs = append(errs, validateResourceRef(from.ResourceFieldRef, false, path.Child("resourceFieldRef"))...)
	}
	if ref := from.ConfigMapKeyRef; ref != nil {
		errs = append(errs, validateKeyRef(ref.Name, ref.Key, path.Child("configMapKeyRef"))...)
	}
	if ref := from.SecretKeyRef; ref != nil {
		errs = append(errs, validateKeyRef(ref.Name, ref.Key, path.Child("secretKeyRef"))...)
	}
	if ref := from.FileKeyRef; ref != nil {
		errs = append(errs, required(ref.Key, path.Child("fileKeyRef", "key"))...)
		errs = append(errs, dnsLabel(ref.VolumeName, path.Child("fileKeyRef", "volumeName"))...)
		errs = append(errs, required(ref.Path, path.Child("fileKeyRef", "path"))...)
		errs = append(errs, noDotDot(ref.Path, path.Child("fileKeyRef", "path"))...)
	}
	sources := count(from.FieldRef != nil, from.ResourceFieldRef != nil, from.ConfigMapKeyRef != nil,
		from.SecretKeyRef != nil, from.FileKeyRef != nil)
	switch {
	case sources == 0:
		errs = append(errs, field.Invalid(path, "",
			"must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"))
	case env.Value != "":
		errs = append(errs, field.Invalid(path, "", "may not be specified when `value` is not empty"))
	case sources > 1:
		errs = append(errs, field.Invalid(path, "", "may not have more than one field specified at a time"))
	}
	return errs
}

func validateKeyRef(name, key string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, msg := range validation.IsDNS1123Subdomain(name) {
		errs = append(errs, field.Invalid(path.Child("name"), name, msg))
	}
	if key == "" {
		return append(errs, field.Required(path.Child("key"), ""))
	}
	for _, msg := range validation.IsConfigMapKey(key) {
		errs = append(errs, field.Invalid(path.Child("key"), key, msg))
	}
	return errs
}

// envFields is what the downward API can tell in the environment.
func envFields() []string {
	return []string{"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
		"status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"}
}

// fileFields is what it can tell in files.
func fileFields() []string {
	return []string{"metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"}
}

// resourceFields is what it can tell of resources.
func resourceFields() []string {
	return []string{"limits.cpu", "limits.ephemeral-storage", "limits.memory",
		"requests.cpu", "requests.ephemeral-storage", "requests.memory"}
}

// subscript is "metadata.labels['key']".
var subscript = regexp.MustCompile(`^(metadata\.(?:labels|annotations))\['(.*)'\]$`)

// validateFieldRef is validateObjectFieldSelector.
func validateFieldRef(ref *corev1.ObjectFieldSelector, allowed []string, path *field.Path) field.ErrorList {
	at := path.Child("fieldPath")
	if ref.FieldPath == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	if ref.APIVersion != "v1" {
		return field.ErrorList{field.Invalid(at, ref.FieldPath, "error converting fieldPath: unsupported pod version: "+ref.APIVersion)}
	}
	if m := subscript.FindStringSubmatch(ref.FieldPath); m != nil {
		key := m[2]
		if m[1] == "metadata.annotations" {
			key = strings.ToLower(key)
		}
		var errs field.ErrorList
		for _, msg := range validation.IsQualifiedName(key) {
			errs = append(errs, field.Invalid(path, key, msg))
		}
		return errs
	}
	if slices.Contains(allowed, ref.FieldPath) {
		return nil
	}
	if slices.Contains(envFields(), ref.FieldPath) || slices.Contains(fileFields(), ref.FieldPath) {
		return field.ErrorList{field.NotSupported(at, ref.FieldPath, allowed)}
	}
	return field.ErrorList{field.Invalid(at, ref.FieldPath, "error converting fieldPath: field label not supported: "+ref.FieldPath)}
}

// validateResourceRef is validateContainerResourceFieldSelector.
func validateResourceRef(ref *corev1.ResourceFieldSelector, inFile bool, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	huge := strings.HasPrefix(ref.Resource, "limits.hugepages-") || strings.HasPrefix(ref.Resource, "requests.hugepages-")
	switch {
	case inFile && ref.ContainerName == "":
		errs = append(errs, field.Required(path.Child("containerName"), ""))
	case ref.Resource == "":
		errs = append(errs, field.Required(path.Child("resource"), ""))
	case !huge && !slices.Contains(resourceFields(), ref.Resource):
		errs = append(errs, field.NotSupported(path.Child("resource"), ref.Resource, resourceFields()))
	}
	if ref.Divisor.IsZero() {
		return errs
	}
	sizes := []string{"1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"}
	var kind string
	switch _, name, _ := strings.Cut(ref.Resource, "."); {
	case name == "cpu":
		if d := ref.Divisor.String(); d != "1" && d != "1m" {
			errs = append(errs, field.Invalid(path.Child("divisor"), ref.Resource,
				"only divisor's values 1m and 1 are supported with the cpu resource"))
		}
		return errs
	case name == "memory":
		kind = "memory"
	case name == "ephemeral-storage":
		kind = "local ephemeral storage"
	case huge:
		kind = "hugepages"
	default:
		return errs
	}
	if !slices.Contains(sizes, ref.Divisor.String()) {
		errs = append(errs, field.Invalid(path.Child("divisor"), ref.Resource,
			fmt.Sprintf("only divisor's values %s are supported with the %s resource", strings.Join(sizes, ", "), kind)))
	}
	return errs
}

// validateResources is validateResourceRequirements for what a node has by itself.
func validateResources(r *corev1.ResourceRequirements, path *field.Path) field.ErrorList {
	errs := validateQuantities(r.Limits, path.Child("limits"))
	errs = append(errs, validateQuantities(r.Requests, path.Child("requests"))...)
	huge, computes := false, false
	for _, name := range slices.Sorted(maps.Keys(r.Limits)) {
		huge = huge || isHugePage(name)
		computes = computes || name == corev1.ResourceCPU || name == corev1.ResourceMemory
	}
	for _, name := range slices.Sorted(maps.Keys(r.Requests)) {
		huge = huge || isHugePage(name)
		computes = computes || name == corev1.ResourceCPU || name == corev1.ResourceMemory
		request, at := r.Requests[name], path.Child("requests")
		limit, limited := r.Limits[name]
		switch cmp := request.Cmp(limit); {
		case !limited && !overcommits(name):
			errs = append(errs, field.Required(path.Child("limits"), "Limit must be set for non overcommitable resources"))
		case limited && !overcommits(name) && cmp != 0:
			errs = append(errs, field.Invalid(at, request.String(), fmt.Sprintf("must be equal to %s limit of %s", name, limit.String())))
		case limited && cmp > 0:
			errs = append(errs, field.Invalid(at, request.String(),
				fmt.Sprintf("must be less than or equal to %s limit of %s", name, limit.String())))
		}
	}
	if huge && !computes {
		errs = append(errs, field.Forbidden(path, "HugePages require cpu or memory"))
	}
	for i, claim := range r.Claims {
		errs = append(errs, field.NotFound(path.Child("claims").Index(i), claim.Name))
	}
	return errs
}

// isStandard says whether a container may name a resource without a domain.
func isStandard(name corev1.ResourceName) bool {
	return name == corev1.ResourceCPU || name == corev1.ResourceMemory || name == corev1.ResourceEphemeralStorage
}

func validateQuantities(list corev1.ResourceList, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, name := range slices.Sorted(maps.Keys(list)) {
		at := path.Key(string(name))
		for _, msg := range validation.IsQualifiedName(string(name)) {
			errs = append(errs, field.Invalid(at, name, msg))
		}
		if !strings.Contains(string(name), "/") && !isStandard(name) && !isHugePage(name) {
			errs = append(errs, field.Invalid(at, name, "must be a standard resource for containers"))
		}
		q := list[name]
		errs = append(errs, notNegative(q, at)...)
	}
	return errs
}

func notNegative(q resource.Quantity, path *field.Path) field.ErrorList {
	if q.Sign() < 0 {
		return field.ErrorList{field.Invalid(path, q.String(), "must be greater than or equal to 0")}
	}
	return nil
}

func isHugePage(name corev1.ResourceName) bool {
	return strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
}

// overcommits is IsOvercommitAllowed: requests of these may be below their limits.
func overcommits(name corev1.ResourceName) bool {
	native := !strings.Contains(string(name), "/") || strings.Contains(string(name), corev1.ResourceDefaultNamespacePrefix)
	return native && !isHugePage(name)
}
