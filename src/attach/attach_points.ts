// The control groups of cgroup v2 that a program is attached to, so that it runs for the sockets opened in them.

import {
  cgroupMatcher,
  containerOf,
  mountPoints,
  outermostCgroups,
  unifiedCgroupOf,
  withoutRuntime,
} from "../linux/proc/cgroup.ts";
import { UsageError } from "../model/errors.ts";
import { usageError } from "../model/wording.ts";
import type { ProcessCriteria } from "../select/compile_selection.ts";

/**
 * Returns the paths of the control groups that processes are chosen by, from the root of the hierarchy: the root itself
 * when none are chosen.
 *
 * @param point The mount point of cgroup v2.
 * @throws {UsageError} When there is no such process, control group or container in cgroup v2.
 */
export function attachPoints(point: string, chosen: ProcessCriteria | undefined): string[] {
  if (chosen === undefined) return ["/"];
  const { pid, cgroup, container } = chosen;
  const paths = [
    ...pid.map(cgroupOfProcess),
    ...cgroup.flatMap((text) => cgroupsNamed(text, point)),
    ...container.map((id) => cgroupOfContainer(id, point)),
  ];
  // What is attached to a control group runs for those below it too.
  const isBelow = (path: string) => paths.some((other) => other !== path && path.startsWith(`${other}/`));
  return paths.includes("/") ? ["/"] : [...new Set(paths)].filter((path) => !isBelow(path));
}

function cgroupOfProcess(pid: number): string {
  const path = unifiedCgroupOf(pid);
  if (path === null) throw new UsageError(`No process ${pid}`, { code: "not-found", option: "pid" });
  if (path !== "/") return path;
  throw usageError(
    ({ name }) =>
      `Process ${pid} is in the root of cgroup v2, as every process may be: leave out ${name("pid")} for all of them`,
    { code: "conflict", option: "pid" },
  );
}

function cgroupsNamed(text: string, point: string): string[] {
  const found = outermostCgroups(point, cgroupMatcher(text, mountPoints()));
  if (found.length > 0) return found;
  throw new UsageError(`No cgroup "${text}" in cgroup v2: expected a path below ${point}, or the name of one there`, {
    code: "not-found",
    option: "cgroup",
  });
}

function cgroupOfContainer(text: string, point: string): string {
  const start = withoutRuntime(text);
  const found = outermostCgroups(point, (path) => containerOf([path])?.startsWith(start) ?? false);
  const [path, other] = found;
  if (path !== undefined && other === undefined) return path;
  if (path !== undefined) {
    throw new UsageError(`Several containers "${start}" in cgroup v2: give more digits`, {
      code: "ambiguous",
      option: "container",
    });
  }
  throw new UsageError(`No container "${start}" in cgroup v2: expected the start of its id`, {
    code: "not-found",
    option: "container",
  });
}
