/**
 * AngularJS 1.x: an interceptor of `$http`. Sends the token to the APIs that the page has named, and repeats a request once
 * at most. It starts no digest of its own: `$http` and `$q` do.
 */

/**
 * Defines the module `remint`: the interceptor, and the service `remint`, which is the session itself. Whatever it tells is
 * told inside `$rootScope`, so that views follow.
 * @param {any} angular
 * @param {import('./session.js').Remint<any>} remint
 * @returns {any} The module.
 */
export const remintModule = (angular, remint) =>
  angular
    .module('remint', [])
    .value('remint', remint)
    .factory('remintInterceptor', ['$injector', '$q', (/** @type {any} */ $injector, /** @type {any} */ $q) => interceptor(remint, $injector, $q)])
    .config(['$httpProvider', (/** @type {any} */ $httpProvider) => $httpProvider.interceptors.push('remintInterceptor')])
    .run(['$rootScope', (/** @type {any} */ $rootScope) => {
      const stop = remint.on((event) => $rootScope.$evalAsync(() => $rootScope.$broadcast('remint', event)));
      $rootScope.$on('$destroy', stop);
    }]);

/** @param {import('./session.js').Remint<any>} remint @param {any} $injector @param {any} $q */
const interceptor = (remint, $injector, $q) => {
  /** What `$http` waits for. @param {Promise<any>} promise */
  const q = (promise) => $q((/** @type {any} */ resolve, /** @type {any} */ reject) => promise.then(resolve, reject));
  /** Whether the request is worth sending once more. @param {any} answer */
  const heard = async ({ status, headers, config }) =>
    !!config?.remint && (await remint.heard(config.remint.again ? 0 : status, headers, config.remint.token));

  return {
    /** @param {any} config */
    request: (config) => {
      if (!remint.owns(new URL(config.url, globalThis.location?.href).href) || config.headers.Authorization) return config;
      return q(
        remint.token().then((token) => {
          config.remint = { token, again: config.remint };
          if (token) config.headers.Authorization = `Bearer ${token}`;
          return config;
        }),
      );
    },
    /** @param {any} answer */
    response: (answer) => q(heard(answer).then(() => answer)),
    /** @param {any} answer */
    responseError: (answer) =>
      q(heard(answer)).then((/** @type {boolean} */ again) => {
        if (!again) return $q.reject(answer);
        delete answer.config.headers.Authorization;
        return $injector.get('$http')(answer.config);
      }),
  };
};
