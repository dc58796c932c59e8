// A program that uses every entry of the package, for the compiler only. What must not compile says so.

import { createRemint, type BaseClaims, type EndReason, type Remint, type RemintEvent, type TimelineEntry } from '@remint/browser';
import { account, RemintError, type Device, type Login } from '@remint/browser/account';
import { remintInterceptor } from '@remint/browser/angular';
import { remintModule } from '@remint/browser/angularjs';
import { attach } from '@remint/browser/axios';
import '@remint/browser/lifeline';
import { hooks } from '@remint/browser/react';
import { inSessionStorage } from '@remint/browser/storage';
import { MAX_ENTRIES } from '@remint/browser/timeline';
import { send } from '@remint/browser/xhr';

interface Claims extends BaseClaims {
  nickname: string;
}

const remint: Remint<Claims> = createRemint<Claims>({
  issuer: 'https://id.example.com',
  clientId: 'web',
  policy: 'refresh',
  transport: 'memory',
  keeper: inSessionStorage('web'),
  apis: ['https://api.example.com', /https:\/\/[a-z]+\.example\.com\//],
});
// @ts-expect-error there is no such policy
createRemint({ issuer: 'https://id.example.com', clientId: 'web', policy: 'sliding' });
// @ts-expect-error the client is missing
createRemint({ issuer: 'https://id.example.com', policy: 'rolling' });

const heard = (event: RemintEvent<Claims>): string | undefined => {
  if (event.type === 'claims-changed') return event.claims.nickname + event.changed.join();
  if (event.type === 'ended') return event.reason satisfies EndReason;
  // @ts-expect-error only some events have claims
  return event.claims.nickname;
};
const stop: () => void = remint.on(heard);
// @ts-expect-error a claim that nobody has declared
remint.claims?.role;

const devices: Promise<Device[]> = account(remint).sessions.list();
const login: Promise<Login> = account(remint).login({ identifier: 'ada', password: 'secret' });
void login.then((done) => (done.challenge === undefined ? done.claims : account(remint).factor(done.challenge, '123456')));
void devices.catch((error: unknown) => error instanceof RemintError && error.retryAfterMs > 0);

const answer: Promise<Response> = remint.fetch('https://api.example.com/me');
const request: Promise<XMLHttpRequest> = send(remint, { url: 'https://api.example.com/me' });
const entries: TimelineEntry[] = remint.timeline().slice(-MAX_ENTRIES);
const { useClaims } = hooks(remint, { useSyncExternalStore: (_subscribe: unknown, snapshot: () => unknown) => snapshot() });
const nickname: string | null = useClaims((claims) => claims.nickname);
// @ts-expect-error it is a name
const age: number | null = useClaims((claims) => claims.nickname);

export { age, answer, attach, entries, nickname, remintInterceptor, remintModule, request, stop };
