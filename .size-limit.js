// What the client may weigh, with its dependency, minified and gzipped. eventsource-parser is held at 3.0.6: later versions are
// faster by up to 550 bytes more, for streams that no page reads.
const toModule = (config) => ({ ...config, format: 'esm', target: 'es2022' })

export default [
  {
    name: 'pylon-sse/client, without what is loaded only where it is needed',
    path: 'dist/entries/client/client.js',
    import: '{ connect }',
    ignore: ['./change-topics.js', './iterate.js', './pages.js', './shared.js', './validate.js'],
    limit: '5 kB',
    gzip: true,
    modifyEsbuildConfig: toModule
  },
  {
    name: 'pylon-sse/react, beside the client',
    path: 'dist/entries/react/react.js',
    ignore: ['../client/client.js', 'react'],
    limit: '1.3 kB',
    gzip: true,
    modifyEsbuildConfig: toModule
  },
  {
    name: 'pylon-sse/client.min.js, with all of it',
    path: 'dist/client.min.js',
    limit: '7.7 kB',
    gzip: true,
    modifyEsbuildConfig: toModule
  }
]
