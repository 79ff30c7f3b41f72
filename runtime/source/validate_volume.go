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
		errs = append(errs, validateDownward(v.DownwardAPI.Items, at.Child("downwardAPI", "items"))...)
	case v.Projected != nil:
		errs = append(errs, validateMode(v.Projected.DefaultMode, at.Child("projected", "defaultMode"))...)
		for i, s := range v.Projected.Sources {
			if s.DownwardAPI != nil {
				errs = append(errs, validateDownward(s.DownwardAPI.Items, at.Child("projected", "sources").Index(i).Child("downwardAPI"))...)
			}
		}
	case v.NFS != nil:
		errs = append(errs, required(v.NFS.Server, at.Child("nfs", "server"))...)
		errs = append(errs, required(v.NFS.Path, at.Child("nfs", "path"))...)
		if v.NFS.Path != "" && !path.IsAbs(v.NFS.Path) {
			errs = append(errs, field.Invalid(at.Child("nfs", "path"), v.NFS.Path, "must be an absolute path"))
		}
	case v.Image != nil:
		errs = append(errs, required(v.Image.Reference, at.Child("image", "reference"))...)
	}
	return errs
}

func validateHostPath(h *corev1.HostPathVolumeSource, at *field.Path) field.ErrorList {
	if h.Path == "" {
		return field.ErrorList{field.Required(at.Child("path"), "")}
	}
	errs := noDotDot(h.Path, at.Child("path"))
	if h.Type != nil && *h.Type != corev1.HostPathUnset {
		errs = append(errs, oneOf(*h.Type, at.Child("type"), corev1.HostPathDirectoryOrCreate, corev1.HostPathDirectory,
			corev1.HostPathFileOrCreate, corev1.HostPathFile, corev1.HostPathSocket, corev1.HostPathCharDev, corev1.HostPathBlockDev)...)
	}
	return errs
}

func validateDownward(items []corev1.DownwardAPIVolumeFile, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, item := range items {
		at := at.Index(i)
		switch {
		case item.Path == "":
			errs = append(errs, field.Required(at.Child("path"), ""))
		case strings.HasPrefix(item.Path, ".."):
			errs = append(errs, field.Invalid(at.Child("path"), item.Path, "must not start with '..'"))
		default:
			errs = append(errs, descending(item.Path, at.Child("path"))...)
		}
		if count(item.FieldRef != nil, item.ResourceFieldRef != nil) != 1 {
			errs = append(errs, field.Required(at, "one of fieldRef and resourceFieldRef is required"))
		}
		errs = append(errs, validateMode(item.Mode, at.Child("mode"))...)
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
