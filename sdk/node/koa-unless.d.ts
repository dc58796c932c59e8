declare module 'koa-unless' {
  /** Skips the middleware for the paths, methods or conditions that are named. */
  export default function unless<T>(this: T, options: unknown): T;
}
