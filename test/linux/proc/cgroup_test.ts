// Control groups and containers, by the paths that kernels and container runtimes give them.

import { assertEquals } from "@std/assert";
import { cgroupMatcher, cgroupPaths, containerOf } from "../../../src/linux/proc/cgroup.ts";

const ID = "3f4a9c0b7d21e5886f10a2c4b9d7e6f5a1b2c3d4e5f60718293a4b5c6d7e8f90";
const OTHER = ID.replace("3f4a", "4f4a");
const POD = "7c3a2a0e-1f7e-4d3b-9a53-0a4b8f0c2d11";
const POD_SLICE = `kubepods-burstable-pod${POD.replaceAll("-", "_")}.slice`;

Deno.test("the paths of /proc/PID/cgroup, of every hierarchy", () => {
  assertEquals(cgroupPaths("0::/system.slice/nginx.service\n"), ["/system.slice/nginx.service"]);
  assertEquals(
    cgroupPaths("5:cpu,cpuacct:/docker/x\n1:name=systemd:/user.slice/a:b\n0::/\n3:pids:/gone (deleted)\n"),
    ["/docker/x", "/user.slice/a:b", "/gone"],
  );
  assertEquals(cgroupPaths("0::/\n"), []);
  assertEquals(cgroupPaths(""), []);
});

Deno.test("the container that a process is in", () => {
  const containers: Record<string, string | null> = {
    [`/system.slice/docker-${ID}.scope`]: ID,
    [`/docker/${ID}`]: ID,
    [`/docker/${ID}/init`]: ID,
    [`/kubepods.slice/kubepods-burstable.slice/${POD_SLICE}/cri-containerd-${ID}.scope`]: ID,
    [`/kubepods.slice/kubepods-burstable.slice/${POD_SLICE}/crio-${ID}.scope`]: ID,
    [`/kubepods/burstable/pod${POD}/${ID}`]: ID,
    [`/machine.slice/libpod-${ID}.scope/container`]: ID,
    [`/machine.slice/libpod-conmon-${ID}.scope`]: null,
    [`/kubepods.slice/crio-conmon-${ID}.scope`]: null,
    // What a container calls a cgroup of its own, or a runtime in it.
    [`/docker/${ID}/${OTHER}`]: ID,
    [`/system.slice/docker-${ID}.scope/docker/${OTHER}`]: ID,
    [`/docker/${ID}/libpod-conmon-${OTHER}.scope`]: ID,
    [`/machine.slice/libpod-conmon-${ID}.scope/${OTHER}`]: null,
    "/system.slice/nginx.service": null,
    "/memory/679c882fee6e0dd6d322d91076b0145a": null,
  };
  for (const [path, id] of Object.entries(containers)) assertEquals(containerOf([path]), id, path);
  assertEquals(containerOf(["/a", `/docker/${ID}`]), ID);
  assertEquals(containerOf([]), null);
});

const POINTS = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/mnt/cg"];

/** What is typed, the paths that it means, and some that it does not. */
const GROUPS: Record<string, { means: string[]; meansNot: string[] }> = {
  "/system.slice/nginx.service": {
    means: ["/system.slice/nginx.service", "/system.slice/nginx.service/worker"],
    meansNot: ["/system.slice/nginx.service2", "/a/system.slice/nginx.service", "/system.slice"],
  },
  "/system.slice/": { means: ["/system.slice", "/system.slice/a/b"], meansNot: ["/system.slice2"] },
  "/": { means: ["/", "/a"], meansNot: [] },
  "/sys/fs/cgroup/system.slice": { means: ["/system.slice/x"], meansNot: ["/sys/fs/cgroup/system.slice"] },
  "/sys/fs/cgroup/unified/a": { means: ["/a"], meansNot: ["/unified/a"] },
  "/mnt/cg": { means: ["/", "/x"], meansNot: [] },
  "/mnt/cgx": { means: ["/mnt/cgx"], meansNot: ["/x"] },
  "/user.slice/*.slice": { means: ["/user.slice/user-1.slice/x"], meansNot: ["/user.slice/a/b.slice", "/user.slice"] },
  "/kubepods**/x": { means: ["/kubepods/a/b/x/y"], meansNot: ["/kube/x"] },
  "nginx.service": {
    means: ["/system.slice/nginx.service", "/nginx.service/a"],
    meansNot: [
      "/system.slice/xnginx.service",
      "/nginx.services",
      "/nginxxservice",
      // Whoever runs in these may have made it.
      `/system.slice/docker-${ID}.scope/nginx.service`,
      `/docker/${ID}/system.slice/nginx.service`,
      `/kubepods/burstable/pod${POD}/${ID}/nginx.service`,
      "/user.slice/user-1000.slice/user@1000.service/app.slice/nginx.service",
      "/machine.slice/machine-web.scope/payload/system.slice/nginx.service",
      "/lxc.payload.web/system.slice/nginx.service",
    ],
  },
  "user@1000.service/*/nginx.service": {
    means: ["/user.slice/user-1000.slice/user@1000.service/app.slice/nginx.service/x"],
    meansNot: [`/docker/${ID}/user@1000.service/app.slice/nginx.service`],
  },
  "/user.slice/**/nginx.service": {
    means: ["/user.slice/user-1000.slice/user@1000.service/app.slice/nginx.service"],
    meansNot: ["/system.slice/nginx.service"],
  },
  "user-1.slice/app.slice": {
    means: ["/user.slice/user-1.slice/app.slice/x"],
    meansNot: ["/user-1.slice/x/app.slice"],
  },
  "*-podman.scope": { means: ["/a/x-podman.scope"], meansNot: ["/a-podman.scopes"] },
  [POD]: {
    means: [`/k/${POD_SLICE}/c`, `/kubepods/burstable/pod${POD}/c`],
    meansNot: [`/x/${POD}`, `/docker/${ID}/kubelet.slice/${POD_SLICE}/c`],
  },
  [POD.toUpperCase()]: { means: [`/k/${POD_SLICE}/c`], meansNot: [] },
  [ID]: {
    means: [`/docker/${ID}`, `/s/docker-${ID}.scope/x`, `/docker/${ID}/${OTHER}`],
    meansNot: [`/docker/${OTHER}`, `/s/x${ID}`, `/docker/${OTHER}/${ID}`, `/machine.slice/libpod-conmon-${ID}.scope`],
  },
  "679c882fee6e0dd6d322d91076b0145a": {
    means: ["/memory/679c882fee6e0dd6d322d91076b0145a/x"],
    meansNot: [`/docker/${ID}/679c882fee6e0dd6d322d91076b0145a`],
  },
  [ID.slice(0, 12)]: { means: [`/docker/${ID}`, `/s/cri-containerd-${ID}.scope`], meansNot: [`/docker/${OTHER}`] },
};

Deno.test("what is said of a control group is a path, a name, a pod or a container", () => {
  for (const [text, { means, meansNot }] of Object.entries(GROUPS)) {
    const matches = cgroupMatcher(text, POINTS);
    assertEquals(means.filter((path) => !matches(path)), [], `${text} should mean`);
    assertEquals(meansNot.filter(matches), [], `${text} should not mean`);
  }
});
