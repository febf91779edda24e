/** The link between the process of the engine and a process that offers trading: see types.ts. */
export { type ConnectLinkOptions, connectLink, type LinkNotice } from './client.ts';
export {
  type LinkServer,
  type LinkServerNotice,
  type LinkServerOptions,
  serveLink,
} from './server.ts';
export * from './types.ts';
