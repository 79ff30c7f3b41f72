package source

import (
	"path"
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validateVolumes also returns the names of the volumes that can be mounted.
func validateVolumes(volumes []corev1.Volume, fldPath *field.Path) (sets.Set[string], field.ErrorList) {
	var errs field.ErrorList
	names := sets.New[string]()
	for i := range volumes {
		v, at := &volumes[i], fldPath.Index(i)
		found := validateVolumeSource(v, at)
		if v.Name == "" {
			found = append(found, field.Required(at.Child("name"), ""))
		} else {
			found = append(found, dnsLabel(v.Name, at.Child("name"))...)
		}
		if names.Has(v.Name) {
			found = append(found, field.Duplicate(at.Child("name"), v.Name))
		}
		if len(found) == 0 {
			names.Insert(v.Name)
		}
		errs = append(errs, found...)
	}
	return names, errs
}

func validateVolumeSource(v *corev1.Volume, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	// Every source is a pointer field of VolumeSource; new kinds of sources are counted too.
	kinds, fields := 0, reflect.ValueOf(v.VolumeSource)
	for i := range fields.NumField() {
		if !fields.Field(i).IsNil() {
			kinds++
		}
	}
	if kinds != 1 {
		return field.ErrorList{field.Forbidden(at, "may not specify more than 1 volume type")}
	}
	switch {
	case v.HostPath != nil:
		errs = append(errs, validateHostPath(v.HostPath, at.Child("hostPath"))...)
	case v.EmptyDir != nil:
		if v.EmptyDir.SizeLimit != nil && v.EmptyDir.SizeLimit.Sign() < 0 {
			errs = append(errs, field.Forbidden(at.Child("emptyDir", "sizeLimit"), "SizeLimit field must be a valid resource quantity"))
		}
	case v.DownwardAPI != nil:
		errs = append(errs, validateMode(v.DownwardAPI.DefaultMode, at.Child("downwardAPI", "defaultMode"))...)
		errs = append(errs, validateDownward(v.DownwardAPI.Items, at.Child("downwardAPI"))...)
	case v.Projected != nil:
		errs = append(errs, validateProjected(v.Projected, at.Child("projected"))...)
	case v.NFS != nil:
		errs = append(errs, required(v.NFS.Server, at.Child("nfs", "server"))...)
		errs = append(errs, required(v.NFS.Path, at.Child("nfs", "path"))...)
		if v.NFS.Path != "" && !path.IsAbs(v.NFS.Path) {
			errs = append(errs, field.Invalid(at.Child("nfs", "path"), v.NFS.Path, "must be an absolute path"))
		}
	case v.Image != nil:
		errs = append(errs, oneOf(v.Image.PullPolicy, at.Child("image", "pullPolicy"), corev1.PullAlways,
			corev1.PullIfNotPresent, corev1.PullNever)...)
	}
	return errs
}

func validateHostPath(h *corev1.HostPathVolumeSource, at *field.Path) field.ErrorList {
	if h.Path == "" {
		return field.ErrorList{field.Required(at.Child("path"), "")}
	}
	errs := noDotDot(h.Path, at.Child("path"))
	if h.Type != nil && *h.Type != corev1.HostPathUnset {
		errs = append(errs, oneOf(*h.Type, at.Child("type"), corev1.HostPathUnset, corev1.HostPathBlockDev, corev1.HostPathCharDev,
			corev1.HostPathDirectory, corev1.HostPathDirectoryOrCreate, corev1.HostPathFile, corev1.HostPathFileOrCreate,
			corev1.HostPathSocket)...)
	}
	return errs
}

// validateDownward checks files of the downward API.
func validateDownward(items []corev1.DownwardAPIVolumeFile, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, item := range items {
		switch {
		case item.Path == "":
			errs = append(errs, field.Required(at.Child("path"), ""))
		case strings.HasPrefix(item.Path, "..") && !strings.HasPrefix(item.Path, "../"):
			errs = append(errs, field.Invalid(at.Child("path"), item.Path, "must not start with '..'"))
		default:
			errs = append(errs, descending(item.Path, at.Child("path"))...)
		}
		switch {
		case item.FieldRef != nil:
			errs = append(errs, validateFieldRef(item.FieldRef, fileFields(), at.Child("fieldRef"))...)
			if item.ResourceFieldRef != nil {
				errs = append(errs, field.Invalid(at, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously"))
			}
		case item.ResourceFieldRef != nil:
			errs = append(errs, validateResourceRef(item.ResourceFieldRef, true, at.Child("resourceFieldRef"))...)
		default:
			errs = append(errs, field.Required(at, "one of fieldRef and resourceFieldRef is required"))
		}
		errs = append(errs, validateMode(item.Mode, at.Child("mode"))...)
	}
	return errs
}

func validateProjected(p *corev1.ProjectedVolumeSource, at *field.Path) field.ErrorList {
	errs := validateMode(p.DefaultMode, at.Child("defaultMode"))
	paths := sets.New[string]()
	for i, s := range p.Sources {
		if s.DownwardAPI == nil {
			continue
		}
		errs = append(errs, validateDownward(s.DownwardAPI.Items, at.Child("sources").Index(i).Child("downwardAPI"))...)
		for _, item := range s.DownwardAPI.Items {
			if item.Path != "" && paths.Has(item.Path) {
				errs = append(errs, field.Invalid(at, item.Path, "conflicting duplicate paths"))
			}
			paths.Insert(item.Path)
		}
	}
	return errs
}

func validateMounts(c *corev1.Container, volumes sets.Set[string], path *field.Path) field.ErrorList {
	var errs field.ErrorList
	paths := sets.New[string]()
	for i, m := range c.VolumeMounts {
		at := path.Index(i)
		errs = append(errs, required(m.Name, at.Child("name"))...)
		if !volumes.Has(m.Name) {
			errs = append(errs, field.NotFound(at.Child("name"), m.Name))
		}
		errs = append(errs, required(m.MountPath, at.Child("mountPath"))...)
		if paths.Has(m.MountPath) {
			errs = append(errs, field.Invalid(at.Child("mountPath"), m.MountPath, "must be unique"))
		}
		paths.Insert(m.MountPath)
		errs = append(errs, descending(m.SubPath, path.Child("subPath"))...)
		if m.SubPathExpr != "" {
			if m.SubPath != "" {
				errs = append(errs, field.Invalid(at.Child("subPathExpr"), m.SubPathExpr, "subPathExpr and subPath are mutually exclusive"))
			}
			errs = append(errs, descending(m.SubPathExpr, path.Child("subPathExpr"))...)
		}
		errs = append(errs, validatePropagation(c, m, path)...)
	}
	return errs
}

func validatePropagation(c *corev1.Container, m corev1.VolumeMount, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	none := m.MountPropagation == nil || *m.MountPropagation == corev1.MountPropagationNone
	if p := m.MountPropagation; p != nil {
		at := path.Child("mountPropagation")
		errs = append(errs, oneOf(*p, at, corev1.MountPropagationBidirectional, corev1.MountPropagationHostToContainer,
			corev1.MountPropagationNone)...)
		privileged := c.SecurityContext != nil && c.SecurityContext.Privileged != nil && *c.SecurityContext.Privileged
		if *p == corev1.MountPropagationBidirectional && !privileged {
			errs = append(errs, field.Forbidden(at, "Bidirectional mount propagation is available only to privileged containers"))
		}
	}
	if r := m.RecursiveReadOnly; r != nil && *r != corev1.RecursiveReadOnlyDisabled {
		at := path.Child("recursiveReadOnly")
		if unknown := oneOf(*r, at, corev1.RecursiveReadOnlyDisabled, corev1.RecursiveReadOnlyEnabled,
			corev1.RecursiveReadOnlyIfPossible); unknown != nil {
			return append(errs, unknown...)
		}
		if !m.ReadOnly {
			errs = append(errs, field.Forbidden(at, "may only be specified when readOnly is true"))
		}
		if !none {
			errs = append(errs, field.Forbidden(at, "may only be specified when mountPropagation is None or not specified"))
		}
	}
	return errs
}

// validateDevices: a block device comes from a claim, and a static pod can have none; so nothing else is checked.
func validateDevices(c *corev1.Container, volumes sets.Set[string], path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, d := range c.VolumeDevices {
		at := path.Index(i)
		errs = append(errs, required(d.Name, at.Child("name"))...)
		if !volumes.Has(d.Name) {
			errs = append(errs, field.NotFound(at.Child("name"), d.Name))
		}
		errs = append(errs, required(d.DevicePath, at.Child("devicePath"))...)
	}
	return errs
}

func validateMode(mode *int32, at *field.Path) field.ErrorList {
	if mode != nil && (*mode < 0 || *mode > 0o777) {
		return field.ErrorList{field.Invalid(at, *mode, "must be a number between 0 and 0777 (octal), both inclusive")}
	}
	return nil
}

func required(value string, at *field.Path) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	return nil
}
