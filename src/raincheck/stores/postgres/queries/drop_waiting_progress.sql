-- What the ends of operations take the place of: (operation, source, url).
DELETE FROM {schema}.deliveries AS former
USING unnest($1::text[], $2::text[], $3::text[]) AS ended (operation, source, url)
WHERE former.operation = ended.operation AND former.source = ended.source AND former.url = ended.url
  AND former.event = 'operation.progress' AND former.status IN ('pending', 'paused')
