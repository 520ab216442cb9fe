-- View: the last 13 UTC months in the words of FOCUS (https://focus.finops.org), a row a day, team, user, key and SKU.
--
-- FOCUS-shaped, not conformant: the proxy knows list costs only, so BilledCost, EffectiveCost and ContractedCost are
-- NULL, and a row has one SKU a model where OpenAI's bill has one for input and one for output. Rows without a price
-- are there, with a ListCost of NULL: x_UnpricedRequests counts them.
SELECT
  CAST(NULL AS NUMERIC) AS BilledCost,
  CAST(NULL AS NUMERIC) AS ContractedCost,
  CAST(NULL AS NUMERIC) AS EffectiveCost,
  SUM(list_cost) AS ListCost,
  billing_currency AS BillingCurrency,
  TIMESTAMP_TRUNC(event_time, MONTH) AS BillingPeriodStart,
  TIMESTAMP(DATE_ADD(DATE_TRUNC(DATE(event_time), MONTH), INTERVAL 1 MONTH)) AS BillingPeriodEnd,
  TIMESTAMP_TRUNC(event_time, DAY) AS ChargePeriodStart,
  TIMESTAMP_ADD(TIMESTAMP_TRUNC(event_time, DAY), INTERVAL 1 DAY) AS ChargePeriodEnd,
  'Usage' AS ChargeCategory,
  'Usage-Based' AS ChargeFrequency,
  CONCAT(operation_name, ' ', IFNULL(response_model, IFNULL(request_model, 'without a model'))) AS ChargeDescription,
  SUM(IFNULL(input_tokens, 0) + IFNULL(output_tokens, 0)) AS ConsumedQuantity,
  'Tokens' AS ConsumedUnit,
  'OpenAI' AS ProviderName,
  'OpenAI' AS PublisherName,
  'OpenAI' AS InvoiceIssuerName,
  'AI and Machine Learning' AS ServiceCategory,
  'Generative AI' AS ServiceSubcategory,
  'OpenAI API' AS ServiceName,
  response_model AS SkuId,
  sku_price_id AS SkuPriceId,
  team_id AS SubAccountId,
  user_id AS x_UserId,
  key_id AS x_KeyId,
  price_version AS x_PriceVersion,
  COUNT(*) AS x_Requests,
  COUNTIF(NOT priced) AS x_UnpricedRequests,
  COUNTIF(usage_source = 'estimated') AS x_EstimatedRequests,
  SUM(input_tokens) AS x_InputTokens,
  SUM(cache_read_input_tokens) AS x_CacheReadInputTokens,
  SUM(output_tokens) AS x_OutputTokens
FROM `${usage}`(
  TIMESTAMP(DATE_SUB(DATE_TRUNC(CURRENT_DATE(), MONTH), INTERVAL 12 MONTH)),
  TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL 1 DAY)
)
GROUP BY
  BillingCurrency, BillingPeriodStart, BillingPeriodEnd, ChargePeriodStart, ChargePeriodEnd, ChargeDescription,
  SkuId, SkuPriceId, SubAccountId, x_UserId, x_KeyId, x_PriceVersion
