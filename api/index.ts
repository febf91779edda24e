/** The HTTP gateway, for the process that serves it and for the tool that writes openapi.json. */
export { buildServer, type ServerOptions } from './server.ts';
