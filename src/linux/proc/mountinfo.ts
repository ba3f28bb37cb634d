// Parses /proc/PID/mountinfo of proc(5) for mounts of control groups.

/** A mounted hierarchy of control groups. */
export interface CgroupMount {
  /** The mount point, without a slash at the end. */
  readonly point: string;
  /** Whether it is the hierarchy of cgroup v2, not one of v1. */
  readonly unified: boolean;
}

/** Returns the hierarchies of control groups among the mounts. */
export function cgroupMounts(mountinfo: string): CgroupMount[] {
  return mountinfo.split("\n").flatMap((line) => {
    // ID PARENT DEVICE ROOT POINT OPTIONS [FIELD...] - TYPE SOURCE OPTIONS
    const [, , , , point = ""] = line.split(" ");
    const [, type] = / - (\S+) /.exec(line) ?? [];
    return type === "cgroup" || type === "cgroup2" ? [{ point: unescape(point), unified: type === "cgroup2" }] : [];
  });
}

/** Decodes the octal escapes of blanks, line ends and backslashes. */
function unescape(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(parseInt(octal, 8)));
}
