FROM oven/bun:1.4.5-alpine AS dependencies
WORKDIR /keryx
COPY package.json package-lock.json bunfig.toml ./
RUN bun install --production --frozen-lockfile

FROM oven/bun:1.4.5-alpine
WORKDIR /keryx
ENV NODE_ENV=production PORT=8787
COPY --from=dependencies /keryx/node_modules node_modules
COPY package.json ./
COPY lib lib
COPY app app
USER bun
EXPOSE 8787
HEALTHCHECK --interval=10s --timeout=3s CMD wget -qO- "http://127.0.0.1:$PORT/healthz" || exit 1
# Mount a configuration and name it in KERYX_CONFIG, or set KERYX_ORIGIN.
CMD ["bun", "app/entry/bun.ts"]
