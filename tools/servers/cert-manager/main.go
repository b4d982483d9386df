// Command cert-manager-controllers runs the controllers of cert-manager that turn an annotated Ingress or Gateway into a
// Certificate and a Certificate into a CertificateRequest, approve the request and store what an issuer answers: nothing
// that signs. The CRDs of the Gateway API must be there.
// cert-manager's own command is not importable as a module, and its webhook is internal to it.
package main

import (
	"context"
	"flag"
	"log"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/cert-manager/cert-manager/pkg/controller"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificate-shim/gateways"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificate-shim/ingresses"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/approver"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/issuing"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/keymanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/readiness"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/requestmanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/revisionmanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/trigger"
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "path of the kubeconfig")
	workers := flag.Int("workers", 5, "workers of each controller")
	minimumBackoff := flag.Duration("minimum-backoff", time.Hour, "wait after the first failed request of a Certificate")
	maximumBackoff := flag.Duration("maximum-backoff", 32*time.Hour, "longest wait after failed requests")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	factory, err := controller.NewContextFactory(ctx, controller.ContextOptions{
		Kubeconfig:         *kubeconfig,
		KubernetesAPIQPS:   1000,
		KubernetesAPIBurst: 1000,
		CertificateOptions: controller.CertificateOptions{
			CopiedAnnotationPrefixes:                 []string{"*", "-kubectl.kubernetes.io/", "-fluxcd.io/", "-argocd.argoproj.io/"},
			CertificateRequestMinimumBackoffDuration: *minimumBackoff,
			CertificateRequestMaximumBackoffDuration: *maximumBackoff,
		},
		IngressShimOptions: controller.IngressShimOptions{DefaultIssuerKind: "Issuer", DefaultIssuerGroup: "cert-manager.io"},
		ConfigOptions:      controller.ConfigOptions{EnableGatewayAPI: true},
	})
	if err != nil {
		log.Fatalf("Cannot set up the controllers: %v", err)
	}
	shared, err := factory.Build()
	if err != nil {
		log.Fatalf("Cannot set up the shared clients: %v", err)
	}

	controllers := map[string]controller.Interface{}
	for name, construct := range controller.Known() {
		if controllers[name], err = construct(factory); err != nil {
			log.Fatalf("Cannot set up controller %s: %v", name, err)
		}
	}

	shared.SharedInformerFactory.Start(ctx.Done())
	shared.KubeSharedInformerFactory.Start(ctx.Done())
	shared.GWShared.Start(ctx.Done())
	shared.HTTP01ResourceMetadataInformersFactory.Start(ctx.Done())
	shared.SharedInformerFactory.WaitForCacheSync(ctx.Done())
	shared.KubeSharedInformerFactory.WaitForCacheSync(ctx.Done())
	shared.GWShared.WaitForCacheSync(ctx.Done())

	var running sync.WaitGroup
	for name, c := range controllers {
		running.Go(func() {
			if err := c.Run(*workers, ctx); err != nil {
				log.Fatalf("Cannot run controller %s: %v", name, err)
			}
		})
	}
	log.Printf("Started %d controllers", len(controllers))
	running.Wait()
}
