/** What the issuer does, as something that comes about and that a user would see. */
import { EVENTS } from '../../src/kubernetes/index.ts';
import { isReady } from '../../tools/cluster.ts';
import { type Event, waitForEvent } from './events.ts';
import { type IssuerKind, type IssuerScene, TEAM } from './issuer-scene.ts';

export interface Effect {
  readonly isThere: () => Promise<boolean>;
  readonly waitFor: () => Promise<unknown>;
}

interface NamedEffect extends Effect {
  readonly name: string;
}

/** Begins what is to have the effect. */
export type Act = (scene: IssuerScene) => Promise<Effect>;

/** An issuer gets ready. */
export const check =
  (kind: IssuerKind) =>
  async (scene: IssuerScene): Promise<NamedEffect> => {
    const name = await scene.createIssuer(kind);
    return {
      name,
      isThere: async () => isReady(await scene.readIssuer(kind, name)),
      waitFor: () => scene.waitForIssuer(kind, name),
    };
  };

/** The same, with its status written onto a later state than the one that was checked. */
export const checkLate =
  (kind: IssuerKind): Act =>
  async (scene) => {
    const { arrived, release } = scene.hold('all calls');
    const effect = await check(kind)(scene);
    await arrived;
    await scene.touchIssuer(kind, effect.name);
    release();
    return effect;
  };

/** A CertificateRequest is issued. */
export const sign =
  (kind: IssuerKind) =>
  async (scene: IssuerScene): Promise<NamedEffect> => {
    const name = await scene.request(kind, scene.issuers[kind]);
    return { name, isThere: () => scene.isIssued(name), waitFor: () => scene.waitForIssued(name) };
  };

export const signLate =
  (kind: IssuerKind): Act =>
  async (scene) => {
    const { arrived, release } = scene.hold('signings');
    const effect = await sign(kind)(scene);
    await arrived;
    await scene.touch('certificaterequest', effect.name, `-n=${TEAM}`);
    release();
    return effect;
  };

/** A CertificateSigningRequest of Kubernetes gets its certificate. */
export const signKubernetes =
  (kind: IssuerKind) =>
  async (scene: IssuerScene): Promise<NamedEffect> => {
    const name = await scene.requestKubernetes(kind, scene.issuers[kind]);
    return { name, isThere: () => scene.hasCertificate(name), waitFor: () => scene.waitForCertificate(name) };
  };

export const signKubernetesLate =
  (kind: IssuerKind): Act =>
  async (scene) => {
    const { arrived, release } = scene.hold('signings');
    const effect = await signKubernetes(kind)(scene);
    await arrived;
    await scene.touch('csr', effect.name);
    release();
    return effect;
  };

/** An event tells that a request was issued. One that could not be sent is not sent later, so it is that of another. */
export const tell: Act = async (scene) => {
  const issue = async (): Promise<string> => {
    const { name, waitFor } = await sign('Issuer')(scene);
    await waitFor();
    return name;
  };
  const first = await issue();
  return {
    isThere: async () => (await readEvents(scene, first)).some(({ reason }) => reason === 'Issued'),
    waitFor: async () => {
      const about = { namespace: TEAM, kind: 'CertificateRequest', name: await issue() };
      await waitForEvent(scene.cluster, about, 'Issued');
    },
  };
};

/** An issuer turns not ready when something that it names is changed. */
export const notice =
  (what: 'Secret' | 'ConfigMap'): Act =>
  async (scene) => {
    const { name, waitFor } = await check('Issuer')(scene);
    await waitFor();
    await scene.spoil('Issuer', name, what);
    return {
      isThere: async () => !isReady(await scene.readIssuer('Issuer', name)),
      waitFor: () => scene.waitForIssuer('Issuer', name, 'False'),
    };
  };

/** One event tells that the same thing has happened again; the process that saw it tells so when it stops. */
export const tellAgain: Act = async (scene) => {
  const { name, waitFor } = await check('Issuer')(scene);
  await waitFor();
  for (let i = 0; i < 2; i++) {
    await scene.deleteSecret('Issuer', name);
    const reason = await scene.waitForIssuer('Issuer', name, 'False');
    // What happens twice before it is told is told as one event from the start.
    await waitForEvent(scene.cluster, { namespace: TEAM, kind: 'Issuer', name }, reason ?? '');
    await scene.createSecret('Issuer', name);
    await waitFor();
  }
  const isThere = async (): Promise<boolean> =>
    (await readEvents(scene, name)).some(({ series }) => series?.count === 2);
  return { isThere, waitFor: isThere };
};

async function readEvents({ cluster }: IssuerScene, about: string): Promise<readonly Event[]> {
  const { items } = await cluster.client.list<Event>(EVENTS, { namespace: TEAM });
  return items.filter(({ regarding }) => regarding.name === about);
}
