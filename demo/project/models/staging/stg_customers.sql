select
    id as customer_id,
    name,
    city,
    signed_up_on
from {{ ref('raw_customers') }}
