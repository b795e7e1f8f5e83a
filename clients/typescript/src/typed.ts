/** Types of an application's own routes, from the `paths` that openapi-typescript makes of its document. */

/** Stands for an application whose document is not known: any route, any input, results as the caller says. */
// eslint-disable-next-line @typescript-eslint/no-empty-object-type
export interface AnyPaths {}

type Known<Paths> = keyof Paths extends never ? false : true;

type PathsOf<Paths, Method extends string> = {
  [P in keyof Paths]: Paths[P] extends { [M in Method]: { responses: { 202: unknown } } } ? P : never;
}[keyof Paths] &
  string;

/** The routes that accept operations: a path for POST, else `PUT /path`. They are those that answer 202. */
export type SubmitRoute<Paths> =
  Known<Paths> extends true
    ? | PathsOf<Paths, "post">
      | `POST ${PathsOf<Paths, "post">}`
      | `GET ${PathsOf<Paths, "get">}`
      | `PUT ${PathsOf<Paths, "put">}`
      | `PATCH ${PathsOf<Paths, "patch">}`
      | `DELETE ${PathsOf<Paths, "delete">}`
    : string;

/** Those of the routes that require no input. */
export type PlainRoute<Paths> = {
  [R in SubmitRoute<Paths>]: Partial<InputOf<Paths, R>> extends InputOf<Paths, R> ? R : never;
}[SubmitRoute<Paths>];

type RouteOf<Paths, R> = R extends `${infer Method} /${infer Path}`
  ? At<Paths, `/${Path}`, Lowercase<Method>>
  : At<Paths, R, "post">;

type At<Paths, P, M> = P extends keyof Paths ? (M extends keyof Paths[P] ? Paths[P][M] : never) : never;

type Success = 200 | 201 | 203 | 204 | 205 | 206;

type Content<Body> = Body extends { content: infer C }
  ? [C] extends [never | undefined]
    ? null
    : "application/json" extends keyof C
      ? C["application/json"]
      : Blob
  : null;

/** The result of a route: the JSON of its own answer, a Blob for any other media type. */
export type ResultOf<Paths, R> =
  Known<Paths> extends false
    ? unknown
    : RouteOf<Paths, R> extends { responses: infer Responses }
      ? Content<Responses[Extract<keyof Responses, Success>]>
      : unknown;

type Given<Parameters, Name extends string> = Name extends keyof Parameters
  ? NonNullable<Parameters[Name]>
  : never;

// A part that the document does not declare may not be given, so that a typing error is found.
type Part<Name extends string, Value> = [Value] extends [never]
  ? { [K in Name]?: never }
  : Record<string, never> extends Value
    ? { [K in Name]?: Value }
    : { [K in Name]: Value };

type BodyOf<Route> = Route extends { requestBody?: infer B }
  ? [NonNullable<B>] extends [never]
    ? never
    : NonNullable<B> extends { content: infer C }
      ? C
      : never
  : never;

type JsonOf<C> = C extends { "application/json": infer J } ? J : never;

type Body<C> = [C] extends [never]
  ? { json?: never; body?: never }
  : [JsonOf<C>] extends [never]
    ? { json?: never; body: BodyInit }
    : Part<"json", JsonOf<C>> & { body?: never };

/** What a route takes: `path`, `query`, and `json` or `body` (forms and files), each as the document says. */
export type InputOf<Paths, R> =
  Known<Paths> extends false
    ? { path?: Record<string, string | number>; query?: Query; json?: unknown; body?: BodyInit }
    : RouteOf<Paths, R> extends infer Route
      ? Route extends { parameters: infer Parameters }
        ? Part<"path", Given<Parameters, "path">> &
            Part<"query", Given<Parameters, "query">> &
            Body<BodyOf<Route>>
        : never
      : never;

export type Query = Record<string, QueryValue | readonly QueryValue[] | undefined>;
type QueryValue = string | number | boolean | null;
