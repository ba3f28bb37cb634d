// Where control groups are mounted, as mountinfo says.

import { assertEquals } from "@std/assert";
import { bpffsPoints, cgroupMounts } from "../../../src/linux/proc/mountinfo.ts";

Deno.test("the hierarchies of both versions, and nothing else", () => {
  const mountinfo = `22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
24 22 0:21 / /sys/fs/cgroup ro,nosuid shared:9 - tmpfs tmpfs ro,mode=755
25 24 0:22 / /sys/fs/cgroup/unified rw,nosuid shared:10 master:3 - cgroup2 cgroup2 rw,nsdelegate
30 24 0:27 /docker/x /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
31 22 0:28 / /mnt/with\\040blank\\134 rw - cgroup2 none rw
32 22 0:28 /../.. /host/sys/fs/cgroup ro - cgroup2 none rw
33 22 0:28 /../b /mnt/other rw - cgroup2 none rw
`;
  assertEquals(cgroupMounts(mountinfo), [
    { point: "/sys/fs/cgroup/unified", unified: true, height: 0 },
    { point: "/sys/fs/cgroup/cpu,cpuacct", unified: false, height: -1 },
    { point: "/mnt/with blank\\", unified: true, height: 0 },
    { point: "/host/sys/fs/cgroup", unified: true, height: 2 },
    { point: "/mnt/other", unified: true, height: -1 },
  ]);
});

Deno.test("bpffs", () => {
  const mountinfo = `24 22 0:21 / /sys rw - sysfs sysfs rw
31 24 0:28 / /sys/fs/bpf rw,nosuid shared:4 - bpf bpf rw,mode=700
32 22 0:29 / /mnt/some\\040bpf rw - bpf none rw
`;
  assertEquals(bpffsPoints(mountinfo), ["/sys/fs/bpf", "/mnt/some bpf"]);
});
