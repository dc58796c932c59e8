/**
 * Angular: a functional `HttpInterceptor`. Sends the token to the APIs that the page has named, and repeats a request once
 * at most. It is handed RxJS, so that this package needs none of its own.
 */

/**
 * `provideHttpClient(withInterceptors([remintInterceptor(remint, { from, switchMap, catchError, tap, throwError })]))`, with
 * `from` and `throwError` of `rxjs` and the others of `rxjs/operators`.
 * @param {import('./session.js').Remint<any>} remint
 * @param {{ from: any, throwError: any, switchMap: any, catchError: any, tap: any }} rxjs
 * @returns {(request: any, next: (request: any) => any) => any} An `HttpInterceptorFn`.
 */
export const remintInterceptor = (remint, { from, throwError, switchMap, catchError, tap }) => (request, next) => {
  const url = new URL(request.urlWithParams, globalThis.location?.href).href;
  if (!remint.owns(url) || request.headers.has('Authorization')) return next(request);

  /** @param {boolean} again @returns {any} */
  const send = (again) =>
    from(remint.token()).pipe(
      switchMap((/** @type {string | null} */ token) => {
        const sent = token ? request.clone({ setHeaders: { Authorization: `Bearer ${token}` } }) : request;
        /** Where a redirect left our APIs, it is not theirs to say. @param {any} answer */
        const heard = async ({ status, headers, url: from }) =>
          remint.owns(from || url) && remint.heard(again ? 0 : status, (name) => headers.get(name), token);
        return next(sent).pipe(
          tap((/** @type {any} */ event) => void (event.headers && heard(event))),
          catchError((/** @type {any} */ error) =>
            from(error.headers ? heard(error) : Promise.resolve(false)).pipe(
              switchMap((/** @type {boolean} */ worth) => (worth ? send(true) : throwError(() => error))),
            ),
          ),
        );
      }),
    );
  return send(false);
};
