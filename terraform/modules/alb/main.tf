resource "aws_security_group" "alb" {
  name        = "${var.name_prefix}-alb-sg"
  description = "Load balancer of the portal"
  vpc_id      = var.vpc_id

  tags = { Name = "sg-${var.name_prefix}-alb" }
}

resource "aws_lb" "portal_alb" {
  # checkov:skip=CKV2_AWS_28: the web ACL is at CloudFront, and nothing else gets in here

  name               = "alb-${var.name_prefix}-portal"
  load_balancer_type = "application"
  internal           = false
  subnets            = var.subnet_ids
  security_groups    = [aws_security_group.alb.id]

  enable_http2               = true
  idle_timeout               = 60
  drop_invalid_header_fields = true
  enable_deletion_protection = var.deletion_protection

  access_logs {
    bucket  = var.access_log_bucket
    prefix  = "alb"
    enabled = true
  }
}

resource "aws_lb_target_group" "portal_api" {
  name        = "tg-${var.name_prefix}-portal"
  target_type = "instance"
  protocol    = "HTTPS"
  port        = var.target_port
  vpc_id      = var.vpc_id

  deregistration_delay = 30 # seconds; no answer takes longer

  health_check {
    protocol            = "HTTPS"
    path                = "/health"
    port                = "traffic-port"
    matcher             = "200"
    interval            = 15
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 3
  }

  # As the design asks. Sessions are in the database: any instance can answer any request.
  stickiness {
    type            = "lb_cookie"
    cookie_duration = 3600
  }
}

# Port 80 has no listener: CloudFront redirects browsers, and comes here on 443 only.
resource "aws_lb_listener" "https" {
  load_balancer_arn = aws_lb.portal_alb.arn
  protocol          = "HTTPS"
  port              = 443
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = aws_acm_certificate_validation.origin.certificate_arn

  # The addresses of CloudFront are everybody's; this distribution knows the header.
  default_action {
    type = "fixed-response"

    fixed_response {
      content_type = "text/plain"
      message_body = "Not here."
      status_code  = "403"
    }
  }
}

resource "aws_lb_listener_rule" "from_cloudfront" {
  listener_arn = aws_lb_listener.https.arn
  priority     = 1

  condition {
    http_header {
      http_header_name = var.origin_header.name
      values           = [var.origin_header.value]
    }
  }

  action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.portal_api.arn
  }

  tags = { Name = "rule-${var.name_prefix}-from-cloudfront" }
}
