/**
 * The last resort where no Go toolchain is: the development server that the Temporal SDK downloads by itself, on a SQLite
 * file. Run as a process of its own: `temporal-download.ts <port> <namespace> <database file>`.
 */
import { Runtime } from '@temporalio/worker';

/** Asked for by the SDK's own name for "the one that fits this SDK". */
const serverVersion = 'default';
const sdkVersion = '1.24.0';

const [port = '', namespace = '', databaseFile = ''] = process.argv.slice(2);
const runtime = Runtime.instance();
const server = await runtime.createEphemeralServer({
  type: 'dev-server',
  exe: {
    type: 'cached-download',
    downloadDir: null,
    version: serverVersion,
    ttl: 0,
    sdkName: 'sdk-typescript',
    sdkVersion,
  },
  namespace,
  ip: '127.0.0.1',
  port: Number.parseInt(port, 10),
  uiPort: null,
  dbFilename: databaseFile,
  ui: false,
  log: { format: 'pretty', level: 'warn' },
  extraArgs: [],
});

process.once('SIGTERM', () => {
  runtime.shutdownEphemeralServer(server).then(
    () => process.exit(0),
    () => process.exit(1),
  );
});
