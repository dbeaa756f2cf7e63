// Swagger UI for this gateway's own description. Requests go to the page's own origin, whatever
// address the description names: another port or host would be another origin.

/* global SwaggerUIBundle */

const place = document.getElementById('docs');

async function show() {
  const answer = await fetch('/openapi.json');
  if (!answer.ok) throw new Error(`/openapi.json answers with status ${answer.status}.`);
  const spec = await answer.json();
  spec.servers = [{ url: location.origin, description: 'this gateway' }];
  SwaggerUIBundle({ spec, domNode: place, deepLinking: true, displayRequestDuration: true, validatorUrl: null, defaultModelsExpandDepth: 0 });
}

try {
  await show();
} catch (error) {
  place.textContent = String(error.message);
}
