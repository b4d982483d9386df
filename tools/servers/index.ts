// Real servers for tests, demos and measurements: a Kubernetes control plane, cert-manager's controllers and CFSSL.

export { type BinaryName, ensureBinary, ensureCertManagerCrds, ensureGatewayApiCrds } from './binaries.ts';
export { type CertManager, type CertManagerOptions, installCertManagerCrds, startCertManager } from './cert-manager.ts';
export { type ServerProcess, startServerProcess } from './child.ts';
export {
  type ControlPlane,
  type ControlPlaneOptions,
  type KubernetesAccess,
  type KubernetesUser,
  startControlPlane,
} from './control-plane.ts';
export { applyCrds } from './crds.ts';
export { ServersError, type ServersErrorCode } from './errors.ts';
export { type ServerFolder, type Stoppable, startInFolder } from './folder.ts';
export {
  type AuthKeys,
  type Cfssl,
  type CfsslOptions,
  type Profile,
  type ProfileName,
  startCfsslServe,
  startMultirootca,
} from './multirootca.ts';
export { createTestCa, type Label, type TestCa } from './test-ca.ts';
