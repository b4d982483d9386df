export { Controllers, type ControllersDeps, type ControllersOptions } from './controllers.ts';
