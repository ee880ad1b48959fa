export const logger = {
  serializers: {
    req: ({ method, url, host, ip }) => ({
      method,
      url: url.replace(/([?&]ticket=)[^&]*/g, '$1***'),
      host,
      remoteAddress: ip
    })
  }
}
