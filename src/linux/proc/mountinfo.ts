// /proc/PID/mountinfo of proc(5), as far as it says where control groups are mounted.

/** A mounted hierarchy of control groups. */
export interface CgroupMount {
  /** Where it is mounted, without a slash at the end. */
  readonly point: string;
  /** Whether it is cgroup v2's only hierarchy, and not one of those of v1. */
  readonly unified: boolean;
}

/** The hierarchies of control groups among the mounts. */
export function cgroupMounts(mountinfo: string): CgroupMount[] {
  return mountinfo.split("\n").flatMap((line) => {
    // ID PARENT DEVICE ROOT POINT OPTIONS [FIELD...] - TYPE SOURCE OPTIONS
    const [, , , , point] = line.split(" ");
    const [, type] = / - (\S+) /.exec(line) ?? [];
    return type === "cgroup" || type === "cgroup2" ? [{ point: unescape(point), unified: type === "cgroup2" }] : [];
  });
}

/** Blanks, line ends and backslashes are written in octal. */
function unescape(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(parseInt(octal, 8)));
}
