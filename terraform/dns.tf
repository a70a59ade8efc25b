# Where devices connect; the portal's and the load balancer's names are made beside these.
resource "aws_route53_record" "mqtt" {
  zone_id = var.hosted_zone_id
  name    = local.mqtt_name
  type    = "A"

  alias {
    name                   = module.nlb.dns_name
    zone_id                = module.nlb.zone_id
    evaluate_target_health = false
  }
}
