/** What processes have used, out of `/proc`. */

import { readdirSync, readFileSync } from "node:fs";

/** A process and all that it has started. */
export function processTree(root: number): readonly number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const parent = read(`${name}/stat`)?.split(") ")[1]?.split(" ")[1];
    if (parent !== undefined) parents.set(Number(name), Number(parent));
  }
  const tree = [root];
  for (const pid of tree) {
    for (const [child, parent] of parents) if (parent === pid) tree.push(child);
  }
  return tree;
}

/**
 * CPU time, user and system, ms. Of threads that live; where the kernel does not count in ns, in
 * steps of 10 ms, but of ended threads too.
 */
export function cpuMs(pids: readonly number[]): number {
  return sum(pids.map((pid) => preciseCpuMs(pid) ?? coarseCpuMs(pid)));
}

/** Memory that is resident, bytes. */
export function residentBytes(pids: readonly number[]): number {
  return sum(
    pids.map(
      (pid) => 1024 * Number(/^VmRSS:\s+(\d+)/m.exec(read(`${pid}/status`) ?? "")?.[1] ?? 0),
    ),
  );
}

/** Time that a core was busy, whoever it was, ms in steps of 10. `proc_stat(5)`. */
export function busyMs(core: number): number {
  const line = new RegExp(`^cpu${core} (.*)$`, "m").exec(read("stat") ?? "")?.[1] ?? "";
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = line
    .split(" ")
    .map(Number);
  return 10 * (user + nice + system + irq + softirq + steal);
}

/** @see https://docs.kernel.org/scheduler/sched-stats.html `/proc/<pid>/schedstat` */
function preciseCpuMs(pid: number): number | undefined {
  const threads = list(`${pid}/task`).map((id) => read(`${pid}/task/${id}/schedstat`));
  const ns = sum(threads.map((text) => Number(text?.split(" ")[0] ?? 0)));
  return ns > 0 ? ns / 1e6 : undefined;
}

/** Fields 14 and 15 of `proc_pid_stat(5)`, in units of 1/100 s. */
function coarseCpuMs(pid: number): number {
  const fields = read(`${pid}/stat`)?.split(") ")[1]?.split(" ") ?? [];
  return 10 * (Number(fields[11] ?? 0) + Number(fields[12] ?? 0));
}

/** A process may end at any moment. */
function read(path: string): string | undefined {
  try {
    return readFileSync(`/proc/${path}`, "utf8");
  } catch {
    return undefined;
  }
}

function list(path: string): readonly string[] {
  try {
    return readdirSync(`/proc/${path}`);
  } catch {
    return [];
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
