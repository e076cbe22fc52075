select * from {{ ref('order_events') }} where amount < 0
