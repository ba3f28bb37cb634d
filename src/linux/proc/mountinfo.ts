// Parses /proc/PID/mountinfo of proc(5) for mounts of control groups and of bpffs.

/** A mounted hierarchy of control groups. */
export interface CgroupMount {
  /** The mount point, without a slash at the end. */
  readonly point: string;
  /** Whether it is the hierarchy of cgroup v2, not one of v1. */
  readonly unified: boolean;
  /**
   * How many levels above the root of the cgroup namespace it begins, as a mount of the host's does in a container. 0 when
   * it begins at that root, -1 when it shows a part of what is below.
   */
  readonly height: number;
}

/** Returns the hierarchies of control groups among the mounts. */
export function cgroupMounts(mountinfo: string): CgroupMount[] {
  return mounts(mountinfo, ["cgroup", "cgroup2"])
    .map(({ root, point, type }) => ({ point, unified: type === "cgroup2", height: heightOf(root) }));
}

function heightOf(root: string): number {
  if (root === "/") return 0;
  return /^(?:\/\.\.)+$/.test(root) ? root.length / "/..".length : -1;
}

/** Returns the mount points of bpffs, which keeps what is pinned. */
export function bpffsPoints(mountinfo: string): string[] {
  return mounts(mountinfo, ["bpf"]).map(({ point }) => point);
}

function mounts(mountinfo: string, types: readonly string[]): { root: string; point: string; type: string }[] {
  return mountinfo.split("\n").flatMap((line) => {
    // ID PARENT DEVICE ROOT POINT OPTIONS [FIELD...] - TYPE SOURCE OPTIONS
    const [, , , root = "", point = ""] = line.split(" ");
    const [, type] = / - (\S+) /.exec(line) ?? [];
    return type !== undefined && types.includes(type) ? [{ root, point: unescape(point), type }] : [];
  });
}

/** Decodes the octal escapes of blanks, line ends and backslashes. */
function unescape(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(parseInt(octal, 8)));
}
