// better-sse on Node's own HTTP server: a push for each event, unbatched, and a channel to broadcast.
// The lines are JSON already, so that the serializer passes them on.

import { createServer } from "node:http"
import { createInterface } from "node:readline"
import { createChannel, createSession } from "better-sse"
import { request } from "undici"

const upstream = process.env.UPSTREAM
const options = { serializer: String, keepAlive: 15_000 }
const channel = createChannel()

const forEachLine = async (query, use, session) => {
    const { body } = await request(`${upstream}/ndjson${query}`, { bodyTimeout: 0 })
    session?.once("disconnected", () => body.destroy())
    return new Promise((resolve) => {
        body.on("error", resolve)
        createInterface({ input: body }).on("line", use).on("close", resolve)
    })
}

const views = {
    "/ready": async (req, res) => res.end("ready\n"),

    "/flat": async (req, res, query) => {
        const session = await createSession(req, res, options)
        let n = 0
        await forEachLine(query, (line) => session.push(line, "chunk", String(++n)), session)
        res.end()
    },

    "/watch": async (req, res) => {
        channel.register(await createSession(req, res, options))
    },

    "/start": async (req, res, query) => {
        res.writeHead(202).end("started\n")
        await forEachLine(query, (line) => channel.broadcast(line, "chunk"))
    },

    "/first": async (req, res) => {
        const session = await createSession(req, res, options)
        session.push("{}", "hello")
    },
}

createServer((req, res) => {
    const { pathname, search } = new URL(req.url, "http://127.0.0.1")
    const view = views[pathname]
    if (view === undefined) {
        res.writeHead(404).end()
        return
    }
    view(req, res, search).catch((error) => {
        console.error(error)
        res.destroy()
    })
}).listen(Number(process.env.PORT), "127.0.0.1", 2048)
