/** A container of a built image with a root file system that is mounted read-only, as Kubernetes is asked to mount it. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ImageStore } from './image-store.ts';

export interface ImageContainer {
  /** Where its root file system is mounted. */
  readonly root: string;
  /** What runs the image as it wants to be run: its entrypoint and its user. Flags follow. */
  readonly command: readonly [string, ...string[]];
  /**
   * Makes the file system writable, for the container's end: buildah up to 1.28 panics when it cannot remove what it
   * has put in itself.
   */
  thaw(): void;
}

/** @param mounts `/file/outside:/file/inside` */
export async function createContainer(
  store: ImageStore,
  image: string,
  mounts: readonly string[] = [],
): Promise<ImageContainer> {
  const { config } = await store.inspect(image);
  const container = await store.buildah('from', '--pull-never', image);
  const root = await store.buildah('mount', container);
  const run = ['run', '--isolation=chroot', ...mounts.map((mount) => `--volume=${mount}:ro`), container, '--'];
  // The first run leaves the mount points; /run/.containerenv it takes away again.
  await store.buildah(...run, 'node', '--version');
  writeFileSync(join(root, 'run/.containerenv'), '');
  const remount = (mode: 'ro' | 'rw'): void => void execFileSync('mount', ['-o', `remount,${mode}`, root]);
  remount('ro');
  return {
    root,
    command: [...store.command, ...run, ...(config.Entrypoint ?? [])],
    thaw: () => remount('rw'),
  };
}

/** What Linux says about a running process: who it is, what it may do, and how its root is mounted. */
export function inspectProcess(pid: number): { uid: string; gid: string; capabilities: string; root: string } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const field = (name: string): string => new RegExp(`^${name}:\\t(.*)$`, 'm').exec(status)?.[1] ?? '';
  const mounts = readFileSync(`/proc/${pid}/mounts`, 'utf8').split('\n');
  const options = mounts.find((line) => line.split(' ')[1] === '/')?.split(' ')[3] ?? '';
  return {
    uid: field('Uid'),
    gid: field('Gid'),
    capabilities: field('CapEff'),
    root: options.split(',')[0] ?? '',
  };
}
