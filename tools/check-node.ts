/** Says in words what would otherwise be a syntax error: the sources run on Node 24 or newer only. */
const [major = 0] = process.versions.node.split('.').map(Number);
if (major < 24) {
  console.error(
    `This needs Node 24 or newer; found ${process.version} (${process.execPath}). On Linux it comes with "npm ci"; ` +
      'elsewhere install it from https://nodejs.org.',
  );
  process.exitCode = 1;
}
