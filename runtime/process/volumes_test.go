package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/kubecrank/kubecrank/runtime"
)

func needMounts(t *testing.T) {
	t.Helper()
	if err := mountable(); err != nil {
		t.Skipf("needs mount namespaces: %v", err)
	}
}

// volume adds a volume and its mount to the pod's first container.
func volume(pod *runtime.Pod, source corev1.VolumeSource, m corev1.VolumeMount) {
	m.Name = fmt.Sprint("v", len(pod.Spec.Volumes))
	pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: m.Name, VolumeSource: source})
	pod.Spec.Containers[0].VolumeMounts = append(pod.Spec.Containers[0].VolumeMounts, m)
}

func hostPath(path string) corev1.VolumeSource {
	return corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: path}}
}

func emptyDir(medium corev1.StorageMedium, size string) corev1.VolumeSource {
	e := &corev1.EmptyDirVolumeSource{Medium: medium}
	if size != "" {
		e.SizeLimit = ptr(resource.MustParse(size))
	}
	return corev1.VolumeSource{EmptyDir: e}
}

// tree makes files: a name that ends in a slash is a directory, "a -> b" a link.
func tree(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		link, target, isLink := strings.Cut(name, " -> ")
		path := filepath.Join(dir, link)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		switch {
		case err != nil:
		case isLink:
			err = os.Symlink(target, path)
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(path, 0o755)
		default:
			err = os.WriteFile(path, []byte(filepath.Base(name)+"\n"), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func mountTable(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// A container sees its volumes where it wants them, and the host sees nothing of that. Each script runs in the container.
func TestVolumes(t *testing.T) {
	t.Parallel()
	needMounts(t)
	top := fmt.Sprint("/kubecrank-test-", os.Getpid()) // is not there
	for name, tc := range map[string]struct {
		files  []string
		setUp  func(pod *runtime.Pod, dir string)
		script string // $DIR is where the files are
		want   string
	}{
		"elsewhere": {[]string{"src/file", "dst/"}, func(pod *runtime.Pod, dir string) {
			volume(pod, hostPath(dir+"/src"), corev1.VolumeMount{MountPath: dir + "/dst"})
		}, "cat $DIR/dst/file; echo x > $DIR/dst/new; cat $DIR/src/new", "file\nx\n"},
		"read-only elsewhere": {[]string{"src/file", "dst/"}, func(pod *runtime.Pod, dir string) {
			volume(pod, hostPath(dir+"/src"), corev1.VolumeMount{MountPath: dir + "/dst", ReadOnly: true})
		}, "cat $DIR/dst/file; echo x > $DIR/dst/new; echo x > $DIR/src/old && echo written", "file\nRead-only file system\nwritten\n"},
		"read-only at its own place": {[]string{"src/file"}, func(pod *runtime.Pod, dir string) {
			volume(pod, hostPath(dir+"/src"), corev1.VolumeMount{MountPath: dir + "/src/", ReadOnly: true})
		}, "cat $DIR/src/file; echo x > $DIR/src/file", "file\nRead-only file system\n"},
		"a file": {[]string{"src/file", "dst"}, func(pod *runtime.Pod, dir string) {
			volume(pod, hostPath(dir+"/src/file"), corev1.VolumeMount{MountPath: dir + "/dst"})
		}, "cat $DIR/dst", "file\n"},
		"two that swap places": {[]string{"a/file-a", "b/file-b"}, func(pod *runtime.Pod, dir string) {
			volume(pod, hostPath(dir+"/a"), corev1.VolumeMount{MountPath: dir + "/b"})
			volume(pod, hostPath(dir+"/b"), corev1.VolumeMount{MountPath: dir + "/a"})
		}, "ls $DIR/a $DIR/b | grep file", "file-b\nfile-a\n"},
		"one inside another, named first": {[]string{"a/", "b/file-b", "dst/"}, func(pod *runtime.Pod, dir string) {
			volume(pod, hostPath(dir+"/b"), corev1.VolumeMount{MountPath: dir + "/dst/in/side"})
			volume(pod, hostPath(dir+"/a"), corev1.VolumeMount{MountPath: dir + "/dst"})
		}, "ls $DIR/dst/in/side; ls $DIR/a/in", "file-b\nside\n"},
		"a file inside another one": {[]string{"a/", "b/file-b", "dst/"}, func(pod *runtime.Pod, dir string) {
			volume(pod, hostPath(dir+"/a"), corev1.VolumeMount{MountPath: dir + "/dst"})
			volume(pod, hostPath(dir+"/b/file-b"), corev1.VolumeMount{MountPath: dir + "/dst/file"})
			volume(pod, hostPath(dir+"/b/file-b"), corev1.VolumeMount{MountPath: dir + "/dst/deep/file"})
		}, "cat $DIR/dst/file $DIR/dst/deep/file; wc -c < $DIR/a/file", "file-b\nfile-b\n0\n"},
		"a place that is not there": {[]string{"src/file"}, func(pod *runtime.Pod, dir string) {
			volume(pod, hostPath(dir+"/src"), corev1.VolumeMount{MountPath: top + "/deep/er"})
		}, "cat " + top + "/deep/er/file; ls -d /proc/self /usr /etc/passwd; ls -ld /bin | cut -c1; echo x > /root-file; " +
			"echo x > " + top + "/deep/er/new && cat $DIR/src/new",
			"file\n/etc/passwd\n/proc/self\n/usr\nl\nRead-only file system\nx\n"},
		"a file at a place that is not there": {[]string{"src/file"}, func(pod *runtime.Pod, dir string) {
			volume(pod, hostPath(dir+"/src/file"), corev1.VolumeMount{MountPath: top + "/deep/file"})
		}, "cat " + top + "/deep/file", "file\n"},
		"subPath": {[]string{"src/sub/deep/file", "dst/"}, func(pod *runtime.Pod, dir string) {
			volume(pod, hostPath(dir+"/src"), corev1.VolumeMount{MountPath: dir + "/dst", SubPath: "sub/deep"})
		}, "ls $DIR/dst", "file\n"},
		"subPath through a link inside": {[]string{"src/sub/deep/file", "src/link -> sub", "dst/"}, func(pod *runtime.Pod, dir string) {
			volume(pod, hostPath(dir+"/src"), corev1.VolumeMount{MountPath: dir + "/dst", SubPath: "link/deep"})
		}, "ls $DIR/dst", "file\n"},
		"subPath that is not there": {[]string{"src/", "dst/"}, func(pod *runtime.Pod, dir string) {
			_ = os.Chmod(dir+"/src", fs.ModeSetgid|0o775)
			volume(pod, hostPath(dir+"/src"), corev1.VolumeMount{MountPath: dir + "/dst", SubPathExpr: "$(NAME)/deep"})
		}, "echo x > $DIR/dst/new; cat $DIR/src/sub/deep/new; stat -c %a $DIR/src/sub $DIR/dst", "x\n2775\n2775\n"},
		"emptyDir": {[]string{"dst/host-file"}, func(pod *runtime.Pod, dir string) {
			volume(pod, emptyDir("", ""), corev1.VolumeMount{MountPath: dir + "/dst"})
			pod.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: ptr[int64](65534), FSGroup: ptr[int64](77)}
		}, "ls $DIR/dst; stat -c '%a %u:%g' $DIR/dst; echo x > $DIR/dst/new; stat -c %u:%g $DIR/dst/new", "2777 0:77\n65534:77\n"},
		"emptyDir in memory": {[]string{"dst/"}, func(pod *runtime.Pod, dir string) {
			volume(pod, emptyDir("Memory", "2Mi"), corev1.VolumeMount{MountPath: dir + "/dst"})
		}, "stat -f -c %T $DIR/dst; stat -c %a $DIR/dst; head -c 1M /dev/zero > $DIR/dst/one && echo one; head -c 2M /dev/zero > $DIR/dst/two",
			"tmpfs\n777\none\nNo space left on device\n"},
		"read-only root": {[]string{"dst/", "own/"}, func(pod *runtime.Pod, dir string) {
			pod.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{ReadOnlyRootFilesystem: ptr(true)}
			volume(pod, emptyDir("", ""), corev1.VolumeMount{MountPath: dir + "/dst"})
			volume(pod, hostPath(dir+"/own"), corev1.VolumeMount{MountPath: dir + "/own"})
		}, "echo x > $DIR/file; echo x > /file; echo x > $DIR/dst/file && echo x > $DIR/own/file && echo x > /dev/null && echo fine",
			"Read-only file system\nRead-only file system\nfine\n"},
		"read-only root with a place that is not there": {nil, func(pod *runtime.Pod, _ string) {
			pod.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{ReadOnlyRootFilesystem: ptr(true)}
			volume(pod, emptyDir("", ""), corev1.VolumeMount{MountPath: top})
		}, "echo x > $DIR/file; echo x > /file; echo x > " + top + "/file && echo fine", "Read-only file system\nRead-only file system\nfine\n"},
		"read-only, but not what is mounted below": {[]string{"dst/"}, func(pod *runtime.Pod, dir string) {
			volume(pod, hostPath("/dev"), corev1.VolumeMount{MountPath: dir + "/dst", ReadOnly: true})
		}, "f=shm/kubecrank-test-$NAME; echo x > $DIR/dst/$f && rm $DIR/dst/$f && echo written; echo x > $DIR/dst/file", "written\nRead-only file system\n"},
		"read-only with what is mounted below": {[]string{"dst/"}, func(pod *runtime.Pod, dir string) {
			volume(pod, hostPath("/dev"), corev1.VolumeMount{MountPath: dir + "/dst", ReadOnly: true,
				RecursiveReadOnly: ptr(corev1.RecursiveReadOnlyEnabled)})
		}, "echo x > $DIR/dst/shm/kubecrank-test-recursive", "Read-only file system\n"},
		"the program is in a volume": {[]string{"src/"}, func(pod *runtime.Pod, dir string) {
			text := "#!/bin/sh\necho from $0\ntouch $DIR/stop\n"
			_ = os.WriteFile(dir+"/src/tool", []byte(strings.ReplaceAll(text, "$DIR", dir)), 0o755)
			volume(pod, hostPath(dir+"/src"), corev1.VolumeMount{MountPath: top})
			pod.Spec.Containers[0].Command = []string{top + "/tool"}
			pod.Spec.Containers[0].WorkingDir = top
		}, "", "from " + top + "/tool\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rt := newRuntime(t)
			dir := tree(t, tc.files...)
			script := strings.NewReplacer("$DIR", dir, "$NAME", "sub").Replace(tc.script)
			pod := testPod("vol", "exec 2>&1; "+script+"\ntouch "+dir+"/stop")
			pod.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "NAME", Value: "sub"}}
			publish(t, dir)
			tc.setUp(pod, dir)
			before := strings.Count(mountTable(t), dir)
			c := start(t, rt, pod)
			wait(t, c)
			var got []string
			for line := range strings.Lines(logOf(t, c)) { // of a shell's error only what the kernel says
				if strings.Contains(line, "touch:") {
					continue // in a root that is read-only
				}
				if i := strings.LastIndex(line, ": "); i >= 0 {
					line = line[i+2:]
				}
				got = append(got, line)
			}
			if text := strings.Join(got, ""); text != tc.want {
				t.Errorf("the container saw\n%s, want\n%s", text, tc.want)
			}
			if !c.rec.Mounts {
				t.Error("it was not recorded")
			}
			if after := strings.Count(mountTable(t), dir); after != before {
				t.Errorf("the host has %d mounts there, and had %d", after, before)
			}
			if _, err := os.Lstat(top); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s on the host: %v", top, err)
			}
			if hosts, _ := filepath.Glob(dir + "/dst/*"); len(hosts) > 1 || len(hosts) == 1 && filepath.Base(hosts[0]) != "host-file" {
				t.Errorf("on the host: %v", hosts)
			}
		})
	}
}

// A pod that needs no mounts has none.
func TestNoNamespace(t *testing.T) {
	t.Parallel()
	rt := newRuntime(t)
	pod := testPod("plain", "exec sleep 1000")
	volume(pod, hostPath(t.TempDir()), corev1.VolumeMount{})
	pod.Spec.Containers[0].VolumeMounts[0].MountPath = pod.Spec.Volumes[0].HostPath.Path
	c := start(t, rt, pod)
	if c.rec.Mounts || hasMounts(c.info.PID) {
		t.Error("it has a mount namespace")
	}
}

// What cannot be mounted is an error that names the volume, and nothing is started; where the place is missing, it says what to do.
func TestVolumeErrors(t *testing.T) {
	t.Parallel()
	needMounts(t)
	for name, tc := range map[string]struct {
		files      []string
		setUp      func(pod *runtime.Pod, dir string)
		want, hint string
	}{
		"no place": {[]string{"src/"}, func(pod *runtime.Pod, dir string) {
			volume(pod, hostPath(dir+"/src"), corev1.VolumeMount{MountPath: dir + "/none"})
		}, `cannot mount volume "v0" at $DIR/none: this machine has nothing there to mount on`, "make an empty directory $DIR/none"},
		"a file on a directory": {[]string{"file", "dst/"}, func(pod *runtime.Pod, dir string) {
			volume(pod, hostPath(dir+"/file"), corev1.VolumeMount{MountPath: dir + "/dst"})
		}, `cannot mount volume "v0" at $DIR/dst: one of volume and mountPath is a directory, and the other is not`, ""},
		"subPath out of the volume, by a link": {[]string{"src/link -> /etc", "dst/"}, func(pod *runtime.Pod, dir string) {
			volume(pod, hostPath(dir+"/src"), corev1.VolumeMount{MountPath: dir + "/dst", SubPath: "link"})
		}, `cannot mount volume "v0": subPath link leads out of $DIR/src`, ""},
		"subPath out of the volume, by a link on the way": {[]string{"src/link -> ..", "dst/"}, func(pod *runtime.Pod, dir string) {
			volume(pod, hostPath(dir+"/src"), corev1.VolumeMount{MountPath: dir + "/dst", SubPath: "link/new"})
		}, `subPath link/new leads out of $DIR/src`, ""},
		"subPath out of the volume, by dots": {[]string{"src/", "dst/"}, func(pod *runtime.Pod, dir string) {
			volume(pod, hostPath(dir+"/src"), corev1.VolumeMount{MountPath: dir + "/dst", SubPath: "a/../../x"})
		}, `subPath "a/../../x" must stay in the volume`, ""},
		"subPathExpr without the variable": {[]string{"src/", "dst/"}, func(pod *runtime.Pod, dir string) {
			volume(pod, hostPath(dir+"/src"), corev1.VolumeMount{MountPath: dir + "/dst", SubPathExpr: "$(NONE)"})
		}, `subPathExpr "$(NONE)" refers to a variable that is not set`, ""},
		"a place in a volume, by a link out of it": {[]string{"a/link -> ../out", "b/", "out/", "dst/"}, func(pod *runtime.Pod, dir string) {
			volume(pod, hostPath(dir+"/a"), corev1.VolumeMount{MountPath: dir + "/dst"})
			volume(pod, hostPath(dir+"/b"), corev1.VolumeMount{MountPath: dir + "/dst/link/new"})
		}, `cannot mount volume "v1" at $DIR/dst/link/new: mountPath $DIR/dst/link/new leads out of $DIR/dst`, ""},
		"mounts for the host": {[]string{"src/", "dst/"}, func(pod *runtime.Pod, dir string) {
			volume(pod, hostPath(dir+"/src"), corev1.VolumeMount{MountPath: dir + "/dst",
				MountPropagation: ptr(corev1.MountPropagationBidirectional)})
		}, "Bidirectional would mount things on the host", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rt := newRuntime(t)
			dir := tree(t, tc.files...)
			pod := testPod("bad", "exec sleep 1000")
			tc.setUp(pod, dir)
			s, err := rt.OpenPod(t.Context(), pod)
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.Start(t.Context(), runtime.ContainerSpec{Container: pod.Spec.Containers[0]})
			if want := strings.ReplaceAll(tc.want, "$DIR", dir); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %s", err, want)
			}
			if hint := strings.ReplaceAll(tc.hint, "$DIR", dir); !strings.Contains(hintOf(err), hint) {
				t.Errorf("hint %q, want %q", hintOf(err), hint)
			}
			for _, path := range []string{"/new", "/out/new"} {
				if _, err := os.Lstat(dir + path); err == nil {
					t.Error("something was made outside of the volume")
				}
			}
		})
	}
}

// Commands run where the container does, before and after an adoption, with and without a record.
func TestExecInNamespace(t *testing.T) {
	t.Parallel()
	needMounts(t)
	dir := tree(t, "src/file", "dst/")
	for _, name := range []string{"started", "adopted", "adopted without a record"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			change := func(spec *corev1.PodSpec) {
				pod := &runtime.Pod{Pod: &corev1.Pod{Spec: *spec}}
				volume(pod, hostPath(dir+"/src"), corev1.VolumeMount{MountPath: dir + "/dst"})
				*spec = pod.Spec
			}
			var c *container
			if name == "started" {
				pod := testPod("exec", "exec sleep 1000")
				change(&pod.Spec)
				c = start(t, newRuntime(t), pod)
			} else {
				root, _ := killedSupervisorOf(t, "exec", "exec sleep 1000", change)
				if name != "adopted" {
					if err := os.Remove(filepath.Join(root, "state", "uid-exec", "main.json")); err != nil {
						t.Fatal(err)
					}
				}
				c = one(t, runtimeAt(t, root)).Container.(*container)
			}
			out, code, err := c.Exec(t.Context(), []string{"cat", dir + "/dst/file"})
			if string(out) != "file\n" || code != 0 || err != nil {
				t.Errorf("%q, %d, %v", out, code, err)
			}
		})
	}
}

// An emptyDir lasts as long as its pod: over a restart of the container and of the supervisor; then nothing is left. Other pods
// do not see it.
func TestEmptyDirLasts(t *testing.T) {
	t.Parallel()
	needMounts(t)
	for _, medium := range []corev1.StorageMedium{"", corev1.StorageMediumMemory} {
		t.Run("medium "+string(medium), func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			rt := runtimeAt(t, root)
			dst := t.TempDir()
			pod := testPod("keeps", "echo once >> "+dst+"/file; cat "+dst+"/file")
			volume(pod, emptyDir(medium, ""), corev1.VolumeMount{MountPath: dst})
			if c := start(t, rt, pod); wait(t, c).Code != 0 || logOf(t, c) != "once\n" {
				t.Errorf("first: %s", logOf(t, c))
			}
			rt = runtimeAt(t, root) // another supervisor
			found := one(t, rt)
			if c := start(t, rt, pod); wait(t, c).Code != 0 || logOf(t, c) != "once\nonce\n" {
				t.Errorf("second: %s", logOf(t, c))
			}
			other := testPod("other", "grep -c uid-keeps /proc/self/mountinfo; ls "+dst)
			volume(other, emptyDir(medium, ""), corev1.VolumeMount{MountPath: dst})
			if c := start(t, rt, other); wait(t, c).Code != 0 && logOf(t, c) != "0\n" {
				t.Errorf("another pod sees %s", logOf(t, c))
			}
			if err := found.Pod.Close(t.Context()); err != nil {
				t.Error(err)
			}
			if _, err := os.Lstat(filepath.Join(root, "state", "uid-keeps")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("left: %v", err)
			}
			if strings.Contains(mountTable(t), "uid-keeps/volumes") && strings.Contains(mountTable(t), root) {
				t.Error("still mounted")
			}
			if err := rt.forget("uid-other"); err != nil {
				t.Error(err)
			}
		})
	}
}

// A supervisor that died between making a pod's volumes and starting it leaves nothing for ever.
func TestTidyVolumes(t *testing.T) {
	t.Parallel()
	needMounts(t)
	root := t.TempDir()
	pod := testPod("never", "true")
	volume(pod, emptyDir("Memory", ""), corev1.VolumeMount{MountPath: t.TempDir()})
	if _, err := runtimeAt(t, root).OpenPod(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, "state", "uid-never")
	if mounted, err := isTmpfs(filepath.Join(dir, "volumes", "v0")); err != nil || !mounted {
		t.Fatal(mounted, err)
	}
	if found := list(t, runtimeAt(t, root)); len(found) != 0 {
		t.Errorf("found %v", found)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left: %v", err)
	}
}

// Without the rights to mount, what needs it is refused by field and reason; what kubeadm's manifests have is not.
func TestMountsRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		setUp func(pod *runtime.Pod)
		want  string
	}{
		"elsewhere": {func(pod *runtime.Pod) { volume(pod, hostPath("/etc"), corev1.VolumeMount{MountPath: "/mnt"}) },
			"spec.containers[0].volumeMounts[0]: /etc can only be had at its own path, not at /mnt: the supervisor is not root\n"},
		"emptyDir": {func(pod *runtime.Pod) { volume(pod, emptyDir("", ""), corev1.VolumeMount{MountPath: "/mnt"}) },
			`spec.containers[0].volumeMounts[0]: an emptyDir ("v0") cannot be had: the supervisor is not root` + "\nrun the supervisor as root"},
		"read-only root": {func(pod *runtime.Pod) {
			pod.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{ReadOnlyRootFilesystem: ptr(true)}
		}, "spec.containers[0].securityContext.readOnlyRootFilesystem: cannot be enforced: the supervisor is not root"},
		"at its own place": {func(pod *runtime.Pod) {
			volume(pod, hostPath("/etc"), corev1.VolumeMount{MountPath: "/etc", ReadOnly: true})
		}, "<nil>\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pod := testPod("told", "exec sleep 1000")
			tc.setUp(pod)
			if out := asNobody(t, pod.Spec); !strings.Contains(out, tc.want) {
				t.Errorf("got %s, want %s", out, tc.want)
			}
		})
	}
}

// The supervisor itself stays in the namespace that it was in, whatever its containers have.
func TestSupervisorsNamespace(t *testing.T) {
	t.Parallel()
	var first, second unix.Stat_t
	if err := errors.Join(unix.Stat("/proc/self/ns/mnt", &first), unix.Stat("/proc/thread-self/ns/mnt", &second)); err != nil || first.Ino != second.Ino {
		t.Errorf("%d, %d, %v", first.Ino, second.Ino, err)
	}
}
