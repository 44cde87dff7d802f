// A page that says which copy answers. Node alone, without packages.
import { createServer } from 'node:http'

const port = Number(process.env.PORT ?? 3000)
let counted = 0

const server = createServer((request, response) => {
  counted += 1
  response.setHeader('Content-Type', 'text/html; charset=utf-8')
  response.end(
    `<!doctype html><title>Node</title><h1>Using port ${port}</h1>` +
      `<p>${counted} requests here, from ${request.headers['x-forwarded-for'] ?? 'nobody in between'}</p>\n`,
  )
})

server.listen(port, '127.0.0.1')
// Requests in flight are finished; lbdev has sent the others elsewhere by then.
process.on('SIGTERM', () => server.close(() => process.exit(0)))
