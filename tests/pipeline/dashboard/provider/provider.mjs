// An OpenID provider on this machine: node provider.mjs PORT CALLBACK PEOPLE. Each start has keys of its own.
// PEOPLE: subject -> e-mail address, where it is not that of the shop; one is not verified. It takes any password.
import { exportJWK, generateKeyPair } from 'jose';
import { Provider } from 'oidc-provider';

const [port, callback, given] = process.argv.slice(2);
const people = JSON.parse(given);
const { privateKey } = await generateKeyPair('RS256', { extractable: true });
const key = { ...(await exportJWK(privateKey)), kid: crypto.randomUUID(), use: 'sig', alg: 'RS256' };
const find = (sub) => {
  const email = people[sub] ?? `${sub}@shop.example`;
  return { accountId: sub, claims: () => ({ sub, email, email_verified: sub !== 'doubtful' }) };
};
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{ client_id: 'slipway', client_secret: 'a secret of the tests', redirect_uris: [callback] }],
  claims: { email: ['email', 'email_verified'] },
  conformIdTokenClaims: process.env.LEAN === '1',
  cookies: { keys: ['of the tests'] },
  features: { devInteractions: { enabled: true } },
  findAccount: (_, sub) => find(sub),
  jwks: { keys: [key] },
  pkce: { required: () => true },
});
provider.listen(Number(port), '127.0.0.1', () => console.log('ready'));
